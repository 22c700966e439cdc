/* Reports of the searches for the fewest GPUs and the lowest price, and of price against speed. */
#ifndef REPORTS_SERVING_SEARCH_H
#define REPORTS_SERVING_SEARCH_H

#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/planning/price_speed.h"
#include "sim/planning/serving_search.h"

#include <stdio.h>

typedef struct SearchReport {
    const Scenario *scenario;
    const LoadOptions *options;
    const ServingSearch *search;
    const PriceSpeed *curve; /* NULL: GPUs were searched */
    double margin;           /* wanted gross margin; negative: none */
    const Provenance *provenance;
} SearchReport;

void terminal_serving_search(FILE *out, const SearchReport *report, TerminalStyle style);
char *json_serving_search(const SearchReport *report, Error *error);

/* tried.csv, and price-speed.csv where there is a curve. */
Status csv_serving_search(const char *directory, const SearchReport *report, Error *error);

/* What the two wishes, reading speed and price, come to on this curve: one sentence. Empty when the
 * scenario states no wishes. */
void price_speed_sentence(const PriceSpeed *curve, char *text, size_t text_bytes);

/* price-speed.{gp,dat,svg,png}. */
Status plot_price_speed(const char *directory, const SearchReport *report, Error *error);

#endif

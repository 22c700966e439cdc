/* One file a figure; each writes NAME.gp and NAME.dat and draws nothing. */
#ifndef REPORTS_PLOTS_H
#define REPORTS_PLOTS_H

#include "reports/files.h"

/* What the figures are drawn from; published figures are absent (has == 0) outside an audit. */
typedef struct PublishedRange {
    int has;
    double low, high;
} PublishedRange;

typedef struct PlotInput {
    const Scenario *scenario;
    const TrainForecast *forecast;
    const Provenance *provenance;
    PublishedRange days, cost_usd, mfu; /* mfu: effective, by 6ND */
} PlotInput;

typedef Status (*PlotFigure)(const PlotInput *input, FILE *script, FILE *data, Error *error);

Status plot_waterfall(const PlotInput *input, FILE *script, FILE *data, Error *error);
Status plot_timeline(const PlotInput *input, FILE *script, FILE *data, Error *error);
Status plot_cost(const PlotInput *input, FILE *script, FILE *data, Error *error);
Status plot_failures(const PlotInput *input, FILE *script, FILE *data, Error *error);

/* "1,000 runs, seed 1, sha256 0123abcd4567, flopcast v0.1": ends every subtitle. */
void plot_origin(const PlotInput *input, char *text, size_t text_bytes);

#endif

/* Fits the constants of nodes and fabrics to the rows of a table of collectives that are not held
 * back, and judges them on those that are.
 *
 * A unit is what one set of constants predicts: one collective inside a node, all-reduces over a
 * fabric, one way and mode of the dispatch to experts. Its parameters minimise
 *     sum of rho(log(predicted / measured)) + weak pull to the start,
 * rho quadratic for small and linear for large errors (few bad rows count little), by
 * Levenberg-Marquardt on the parameters' logarithms with weights renewed in rounds (GSL). The
 * predictions come from the functions that simulations use. */
#ifndef SIM_PLANNING_COLLECTIVE_FIT_H
#define SIM_PLANNING_COLLECTIVE_FIT_H

#include "sim/planning/collective_rows.h"

enum { FIT_UNIT_PARAMETERS = 8, FIT_UNIT_TEXT_BYTES = 64 };

typedef struct FittedValue {
    const char *key;    /* in the YAML file */
    const char *suffix; /* its unit */
    double value;       /* in that unit */
} FittedValue;

typedef struct CollectiveUnitFit {
    const char *fit;   /* "dgx-h100" */
    const char *group; /* "all_gather": the group of keys in that file; "": its top */
    const char *mode;  /* "low latency", "normal"; "" */
    size_t row_count, held_back_count;
    size_t value_count;
    FittedValue values[FIT_UNIT_PARAMETERS];
    ErrorStatistics fitted, held_back;
} CollectiveUnitFit;

typedef struct CollectiveFits {
    size_t count;
    CollectiveUnitFit *fits;
} CollectiveFits;

/* `names` are fits of the rows ("dgx-h100") or "all". Free in any case. STATUS_INVALID when no row
 * belongs to any of them. */
Status collective_fit(const CollectiveRows *rows, const char *const *names, size_t name_count,
                      CollectiveFits *fits, Error *error);
void collective_fits_free(CollectiveFits *fits);

#endif

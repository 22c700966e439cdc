/* Inside the making of a scenario from a published row: what its parts share. */
#ifndef SIM_PLANNING_MEASURED_LAYING_H
#define SIM_PLANNING_MEASURED_LAYING_H

#include "sim/planning/measured_scenario.h"

struct MeasuredBase {
    const MeasuredRules *rules;
    char hardware[NAME_BYTES], stack[NAME_BYTES];
    int hardware_assumed, unmeasured, stack_assumed;
    size_t fact_count;
    const char *facts[MAX_FACTS]; /* into the rules */
    Status status;                /* of reading it; the reason for other rows that ask again */
    Error error;
    Scenario scenario;
};

/* Work on one row; the first failure stays. */
typedef struct Laying {
    const MeasuredBase *base;
    Measurement row; /* words as this program has them; what follows from other cells is in */
    const NamedModel *named; /* whose shape the row may take; NULL: none */
    Scenario *out;
    DefaultsTaken defaults;
    int ways_assumed; /* ways that are not stated are one each: only where the model then fits */
    Status status;
    Error *error;
} Laying;

void laying_refuse(Laying *laying, const char *format, ...) __attribute__((format(printf, 2, 3)));
void laying_put(Laying *laying, const char *path, double value);
void laying_put_word(Laying *laying, const char *path, const char *word);

/* `value`, and that it is a default. */
double laying_default(Laying *laying, MeasuredDefault which, double value);

/* The row's value when it states one. */
double laying_stated(Laying *laying, MeasuredDefault which, double value, double fallback);

/* The row's value, refused when it states none. */
double laying_needed(Laying *laying, const char *column, double value);

/* The model's shape (measured_shape.c), and the ways that the GPUs are split in (measured_ways.c).
 */
void laying_name_model(Laying *laying);
void laying_model(Laying *laying);
void laying_fill_ways(Laying *laying);
void laying_layout(Laying *laying);

#endif

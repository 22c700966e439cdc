/* Models of reliability by name, for tables that state a model, its parameters and a result.
 *
 * A case is a model with values: "C.S2_safe_restart" with
 * "M_min=600;tau_min=30;delta_min=1;R_min=10". A time carries its unit in the name (_s, _min, _h,
 * _d), a rate what it is per (_per_node_day); inside all is in seconds. Every model and metric has
 * a closed form (reliability_forms.h); those that describe a process have a replication of it as
 * events as well.
 */
#ifndef SIM_TRAINING_RELIABILITY_H
#define SIM_TRAINING_RELIABILITY_H

#include "sim/training/run.h"

enum { RELIABILITY_MAX_PARAMETERS = 12, RELIABILITY_MAX_LIST = 16, RELIABILITY_NAME_BYTES = 48 };

typedef enum QuantityKind {
    QUANTITY_NUMBER,
    QUANTITY_WHOLE,
    QUANTITY_TIME,   /* with words "none": that word is HUGE_VAL */
    QUANTITY_RATE,   /* one over a time: rf_per_node_day */
    QUANTITY_WORD,   /* the index of the word */
    QUANTITY_TIMES,  /* 0.2/0.4/0.3 with one unit */
    QUANTITY_BATCHES /* 0.32/h x 1 + 0.0014/h x 32: rates, as rounded text, and whole numbers */
} QuantityKind;

typedef struct ParameterSpec {
    const char *name; /* without its unit */
    QuantityKind kind;
    double low, high; /* allowed, ends included, in SI */
    int optional;     /* then `otherwise` stands for it */
    double otherwise;
    const char *words; /* space-separated */
} ParameterSpec;

/* One class of the failures that some run had: how many of its units there were, and its rate. */
typedef struct FailureMixClass {
    char name[RELIABILITY_NAME_BYTES];
    double gpus_per_unit;
    double rate_per_unit_s;
} FailureMixClass;

typedef struct FailureMix {
    size_t count;
    FailureMixClass classes[RELIABILITY_MAX_LIST];
} FailureMix;

typedef struct ReliabilityCase {
    const struct ReliabilityModel *model;
    const FailureMix *mix;                     /* of H; NULL: none */
    double values[RELIABILITY_MAX_PARAMETERS]; /* in the order of the model's parameters */
    size_t list_count;                         /* the model's list, when it has one */
    double list[RELIABILITY_MAX_LIST], list_sizes[RELIABILITY_MAX_LIST];
    double list_slack[RELIABILITY_MAX_LIST]; /* by how much a rounded text may be off */
} ReliabilityCase;

/* What a replication saw. Mean: a/b. Standard deviation: sqrt(c/b - (a/b)^2). */
typedef struct ReliabilitySums {
    double a, b, c;
} ReliabilitySums;

typedef enum ReliabilityEstimator { ESTIMATE_MEAN, ESTIMATE_DEVIATION } ReliabilityEstimator;

/* How a replication is drawn. It spends about `events` failures or other
 * happenings, and says STATUS_NO when that many can
 * not show what is asked. */
typedef struct ReliabilityReplication {
    RunSimulator *simulator;
    const ReliabilityCase *input;
    unsigned long long seed, replication;
    size_t replications; /* in all */
    double events;
} ReliabilityReplication;

typedef Status (*ReliabilityForm)(const ReliabilityCase *input, double *value, Error *error);
typedef Status (*ReliabilityProcess)(const ReliabilityReplication *draw, ReliabilitySums *sums,
                                     Error *error);

typedef struct ReliabilityMetric {
    const char *name; /* without its unit */
    QuantityKind kind;
    ReliabilityForm form;
    ReliabilityProcess process; /* NULL: describes no process */
    ReliabilityEstimator estimator;
    int needs_mix;
} ReliabilityMetric;

typedef struct ReliabilityModel {
    const char *name;
    const ParameterSpec *parameters; /* ended by a NULL name, as are the metrics */
    const ReliabilityMetric *metrics;
} ReliabilityModel;

extern const ReliabilityModel RELIABILITY_MODELS[];
extern const size_t RELIABILITY_MODEL_COUNT;

/* STATUS_INVALID with the nearest name, or with the value and what is allowed. `unit_s` is what one
 * of the metric's unit is in SI: 60 for tau_exact_min. */
Status reliability_model_find(const char *name, const ReliabilityModel **model, Error *error);
Status reliability_metric_find(const ReliabilityModel *model, const char *name,
                               const ReliabilityMetric **metric, double *unit_s, Error *error);
Status reliability_case_read(const ReliabilityModel *model, const char *parameters,
                             ReliabilityCase *result, Error *error);

/* A value by its parameter's name. */
double reliability_value(const ReliabilityCase *input, const char *name);
int reliability_word(const ReliabilityCase *input, const char *name); /* the word's index */

/* Multiplies every time by `factor` and divides every rate by it. */
void reliability_case_scale(ReliabilityCase *input, double factor);

/* Jackknife over replications (2 at least): estimate without its bias of order 1/n, standard error.
 */
void reliability_estimate(ReliabilityEstimator estimator, const ReliabilitySums *sums, size_t count,
                          double *mean, double *standard_error);

#endif

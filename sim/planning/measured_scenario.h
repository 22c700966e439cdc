/* A published row as a scenario.
 *
 * The row's hardware, software stack and facts (measured_rules.h) make a base, read once for all
 * rows that share it; the row's columns are laid over it. What the row leaves out comes from a
 * documented default, each of which is named. What this program cannot simulate, and what is not
 * stated and has no default, is a reason to skip the row, never guessed. */
#ifndef SIM_PLANNING_MEASURED_SCENARIO_H
#define SIM_PLANNING_MEASURED_SCENARIO_H

#include "sim/planning/measured_rules.h"

enum { MEASURED_LAYOUT_BYTES = 80 };

/* What can be left to a default, in the order of MEASURED_DEFAULT_NAMES. */
typedef enum MeasuredDefault {
    DEFAULT_GPU, /* configs/measurements/gpus.csv, where the name leaves the board open */
    DEFAULT_STACK,
    DEFAULT_KV_HEADS,      /* as many as heads */
    DEFAULT_HEAD_DIM,      /* d_model / heads */
    DEFAULT_D_FF,          /* 4 d_model; gated: 8/3 d_model, up to a multiple of 256 */
    DEFAULT_GATED,         /* facts.csv, else not gated */
    DEFAULT_TIED,          /* tied unless the MLP is gated (GPT against Llama) */
    DEFAULT_VOCAB,         /* configs/measurements/training_base.yaml or facts.csv */
    DEFAULT_SHARED,        /* no shared experts */
    DEFAULT_TENSOR,        /* facts.csv, else 1 with ZeRO-3, the row's or the stack's */
    DEFAULT_PIPELINE,      /* the same */
    DEFAULT_EXPERT,        /* 1: experts are cut by tensor parallelism */
    DEFAULT_EXPERT_TENSOR, /* 1 where experts cut by tp as well do not fill the ranks */
    DEFAULT_CONTEXT,       /* 1 */
    DEFAULT_DATA,          /* GPUs / (tp pp cp) */
    DEFAULT_NETWORK,       /* the node's in configs/hw; only where the job spans nodes */
    DEFAULT_SEQUENCE,      /* the stack's; only with tp > 1 */
    DEFAULT_ZERO,          /* the stack's */
    DEFAULT_RECOMPUTE,     /* the stack's */
    DEFAULT_MICRO,         /* the stack's */
    DEFAULT_PRECISION,     /* bf16 */
    DEFAULT_BATCH,         /* one microbatch a replica, if that is stated; else facts.csv's tokens
                            */
    DEFAULT_CHUNKS,        /* a layer each where the stack interleaves */
    DEFAULT_CONVENTION,    /* full: none of those in conventions.csv */
    DEFAULT_RAISED,        /* recompute again: the least with which the row fits */
    MEASURED_DEFAULTS
} MeasuredDefault;

extern const char *const MEASURED_DEFAULT_NAMES[MEASURED_DEFAULTS];

/* Scenarios that rows start from, read on demand. */
typedef struct MeasuredBase MeasuredBase;

typedef struct MeasuredBases {
    const ConfigPaths *paths;
    const MeasuredRules *rules;
    const char *const *sets; /* of the command line, laid over every base */
    size_t set_count;
    size_t count, capacity;
    MeasuredBase **bases;
} MeasuredBases;

void measured_bases_free(MeasuredBases *bases);

/* The base of a row. STATUS_INVALID with the reason for which the row must be skipped,
 * STATUS_USAGE when a set is wrong, STATUS_ENVIRONMENT. */
Status measured_base(MeasuredBases *bases, const Measurement *row, const MeasuredBase **base,
                     Error *error);

const char *measured_base_hardware(const MeasuredBase *base);
const char *measured_base_stack(const MeasuredBase *base);

/* `base` with the row laid over it, and plan_check passed. *defaults: bit i for MeasuredDefault i.
 * STATUS_INVALID with the reason for which the row must be skipped. */
Status measured_scenario(const MeasuredBase *base, const Measurement *row, Scenario *scenario,
                         unsigned *defaults, Error *error);

/* Tokens/s/GPU as published: the table's own conversion, else from the metric. *defaults gains a
 * bit where a convention is taken. STATUS_INVALID with the reason when it cannot be converted. */
Status measured_tokens_per_s(const MeasuredRules *rules, const Measurement *row,
                             const Scenario *scenario, double *tokens_per_s, unsigned *defaults,
                             Error *error);

/* "TP8 PP8 VP3 DP2 EP4 CP2 mb1 full": ways of one are left out. */
void measured_layout(const Scenario *scenario, char text[MEASURED_LAYOUT_BYTES]);

#endif

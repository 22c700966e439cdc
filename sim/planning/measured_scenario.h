/* A published row as a scenario.
 *
 * The row's hardware, software stack and facts (measured_rules.h) make a base, read once for all
 * rows that share it; the row's columns are laid over it. What the row leaves out comes from a
 * documented default, each of which is named. What this program cannot simulate, and what is not
 * stated and has no default, is a reason to skip the row, never guessed. */
#ifndef SIM_PLANNING_MEASURED_SCENARIO_H
#define SIM_PLANNING_MEASURED_SCENARIO_H

#include "sim/planning/measured_rules.h"

enum { MEASURED_LAYOUT_BYTES = 80, MEASURED_DEFAULT_BYTES = 96 };

/* What can be left to a default, in the order of MEASURED_DEFAULT_NAMES. */
typedef enum MeasuredDefault {
    DEFAULT_GPU,      /* configs/measurements/gpus.csv, where the name leaves the board open */
    DEFAULT_EVIDENCE, /* no step of this GPU was measured: what software loses there is the H100's
                       */
    DEFAULT_STACK,
    DEFAULT_LAYERS,        /* model_names.csv, else what params_total_b leaves for layers */
    DEFAULT_D_MODEL,       /* model_names.csv */
    DEFAULT_HEADS,         /* the same */
    DEFAULT_EXPERTS,       /* the same */
    DEFAULT_TOP_K,         /* the same */
    DEFAULT_KV_HEADS,      /* as many as heads */
    DEFAULT_HEAD_DIM,      /* d_model / heads */
    DEFAULT_D_FF,          /* 4 d_model; gated: 8/3 d_model, up to a multiple of 256 */
    DEFAULT_GATED,         /* facts.csv, else not gated */
    DEFAULT_TIED,          /* tied unless the MLP is gated (GPT against Llama) */
    DEFAULT_VOCAB,         /* configs/measurements/training_base.yaml or facts.csv */
    DEFAULT_SHARED,        /* no shared experts */
    DEFAULT_GPUS,          /* tp pp cp dp */
    DEFAULT_TENSOR,        /* facts.csv; what the GPUs and the other ways leave; 1 with ZeRO-3, the
                              row's or the stack's, or where other ways are stated, if the model fits */
    DEFAULT_PIPELINE,      /* the same */
    DEFAULT_EXPERT,        /* 1: experts are cut by tensor parallelism */
    DEFAULT_EXPERT_TENSOR, /* 1 where experts cut by tp as well do not fill the ranks */
    DEFAULT_CONTEXT,       /* 1 */
    DEFAULT_DATA,          /* GPUs / (tp pp cp), also where dp is printed without ep or with cp */
    DEFAULT_NETWORK,       /* the node's in configs/hw; only where the job spans nodes */
    DEFAULT_LENGTH,        /* model_names.csv: the length that the model was trained on */
    DEFAULT_SEQUENCE,      /* the stack's; only with tp > 1 */
    DEFAULT_ZERO,          /* the stack's */
    DEFAULT_RECOMPUTE,     /* the stack's */
    DEFAULT_MICRO,         /* the stack's */
    DEFAULT_PRECISION,     /* bf16 */
    DEFAULT_BATCH,  /* one microbatch a replica, if that is stated and there is no pipeline; else
                     * facts.csv's tokens
                     */
    DEFAULT_CHUNKS, /* a layer each where the stack interleaves */
    DEFAULT_CONVENTION, /* full: none of those in conventions.csv, or not stated */
    DEFAULT_SHARE,      /* an MFU of 1 or less is a share, not per cent */
    DEFAULT_RAISED,     /* recompute again: the least with which the row fits */
    MEASURED_DEFAULTS
} MeasuredDefault;

extern const char *const MEASURED_DEFAULT_NAMES[MEASURED_DEFAULTS];

/* What a row left to defaults: bit i for MeasuredDefault i. */
typedef struct DefaultsTaken {
    unsigned long long taken;
    unsigned long long from_model; /* of these: from the model that the row names */
    const char *model;             /* its name in model_names.csv; NULL: none was needed */
} DefaultsTaken;

static inline int default_taken(const DefaultsTaken *defaults, MeasuredDefault which)
{
    return (defaults->taken >> which & 1u) != 0;
}

static inline void default_take(DefaultsTaken *defaults, MeasuredDefault which)
{
    defaults->taken |= 1ull << which;
}

/* "tp", or "n_layers from model llama3-70b". Returns `text`. */
const char *default_text(const DefaultsTaken *defaults, MeasuredDefault which,
                         char text[MEASURED_DEFAULT_BYTES]);

/* Scenarios that rows start from, read on demand. */
typedef struct MeasuredBase MeasuredBase;

typedef struct MeasuredBases {
    const ConfigPaths *paths;
    const MeasuredRules *rules;
    const char *const *sets; /* of the command line, laid over every base */
    size_t set_count;
    StackFilter filter; /* which stacks may be chosen (measured_rules.h); NULL: all */
    const void *filter_context;
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
int measured_base_has_fact(const MeasuredBase *base, const char *key);

/* `base` with the row laid over it, and plan_check passed. STATUS_INVALID with the reason for which
 * the row must be skipped. */
Status measured_scenario(const MeasuredBase *base, const Measurement *row, Scenario *scenario,
                         DefaultsTaken *defaults, Error *error);

/* Tokens/s/GPU as published: the table's own conversion, else from the metric. Defaults gain a bit
 * where a convention is taken. STATUS_INVALID with the reason when it cannot be converted. */
Status measured_tokens_per_s(const MeasuredRules *rules, const Measurement *row,
                             const Scenario *scenario, double *tokens_per_s,
                             DefaultsTaken *defaults, Error *error);

/* "TP8 PP8 VP3 DP2 EP4 CP2 mb1 full": ways of one are left out. */
void measured_layout(const Scenario *scenario, char text[MEASURED_LAYOUT_BYTES]);

#endif

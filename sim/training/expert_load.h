/* How the tokens of a microbatch spread over the experts of a layer. Inside sim/training only. */
#ifndef SIM_TRAINING_EXPERT_LOAD_H
#define SIM_TRAINING_EXPERT_LOAD_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "sim/training/expert_popularity.h"

#include <stddef.h>

/* Layers beyond so many take the popularity of an earlier layer again; of a layer so many
 * microbatches are drawn, enough for a mean and, over the layers of a stage, for a spread. */
enum { MAX_LOAD_DRAWS = 16, MAX_LOAD_SAMPLES = 4 };

typedef struct ExpertLoad {
    size_t experts;
    size_t ranks;   /* groups of experts / ranks neighbouring experts */
    size_t draws;   /* layers; 1 when all are alike */
    size_t samples; /* microbatches of each layer; 1 when all are alike */
    double *share;  /* [draw][sample][expert] of the rows; each sample sums to 1 */
    int balanced;   /* all shares are equal */
    /* Means over draws and samples, of what the router asks for. */
    double dropped;            /* share of the tokens' copies above the capacity factor */
    double max_over_mean;      /* rows of the most loaded expert over the mean expert's */
    double rank_max_over_mean; /* of the most loaded rank over the mean rank's */
    double worst[MAX_LOAD_DRAWS * MAX_LOAD_SAMPLES]; /* that of each; see expert_load_worst */
} ExpertLoad;

/* Popularity is drawn layer by layer from (seed, "expert load", replication), the rows of each
 * microbatch, of all tokens that meet in the expert-parallel group, from (seed, "expert tokens",
 * replication). With a capacity factor f an expert takes at most ceil(f times the mean) rows of one
 * rank's tokens; what is above is dropped and what is below is padded (Lepikhin et al. 2020,
 * section 2.2; Fedus et al. 2021, section 2.2), so that all experts work on as many rows: shares
 * are equal and only `dropped` depends on the popularity. */
Status expert_load_draw(const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, ExpertLoad *load, Error *error);
void expert_load_free(ExpertLoad *load);

/* Loads that plans and steps share: of one model, popularity, seed and replication they depend on
 * the ranks of an expert-parallel group and on the tokens that meet in it. Bounded; a load gives
 * way to another one in its place, and is then drawn again to the same bits. */
typedef struct ExpertLoadMemo ExpertLoadMemo;
ExpertLoadMemo *expert_load_memo_create(Error *error);
void expert_load_memo_destroy(ExpertLoadMemo *memo);

/* What expert_load_draw gives, which holds until the next call. */
Status expert_load_find(ExpertLoadMemo *memo, const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, const ExpertLoad **load, Error *error);

const double *expert_load_share(const ExpertLoad *load, size_t draw, size_t sample);

/* The most loaded rank over the mean rank, >= 1. */
double expert_load_worst(const ExpertLoad *load, size_t draw, size_t sample);

/* Of `rows`, what lies above `factor` times the mean rounded up, as a share of all. */
double expert_load_dropped(const double *rows, size_t experts, double factor);

/* Most of `ranks` neighbouring groups over their mean; ranks divide experts or the rest is left
 * out. */
double expert_load_most(const double *rows, size_t experts, size_t ranks);

#endif

/* How the tokens of a microbatch spread over the experts of a layer. Inside sim/training only. */
#ifndef SIM_TRAINING_EXPERT_LOAD_H
#define SIM_TRAINING_EXPERT_LOAD_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

#include <stddef.h>

/* Layers beyond this many take the loads of an earlier layer again. */
enum { MAX_LOAD_DRAWS = 16, MAX_EXPERTS = 65536 };

typedef struct ExpertLoad {
    size_t experts;
    size_t ranks;   /* groups of experts / ranks neighbouring experts */
    size_t draws;   /* 1 when all layers are alike */
    double *share;  /* [draw][expert] of the rows; each draw sums to 1 */
    double dropped; /* share of the tokens' copies that a capacity factor drops, mean over draws */
} ExpertLoad;

/* Popularity is lognormal with the scenario's sigma, one draw a layer from (seed, "expert load",
 * replication): what is left when an auxiliary loss balances experts. A token uses an expert at
 * most once, so no share exceeds 1 / experts_per_token. sigma 0: all shares equal. With a capacity
 * factor f an expert takes at most f times the mean; what is above is dropped and what is below is
 * padded (Lepikhin et al. 2020, section 2.2; Fedus et al. 2021, section 2.2), so that all experts
 * work on as many rows: shares are equal and only `dropped` depends on the popularity. */
Status expert_load_draw(const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, ExpertLoad *load, Error *error);
void expert_load_free(ExpertLoad *load);

const double *expert_load_share(const ExpertLoad *load, size_t draw);

/* The most loaded rank over the mean rank, >= 1. */
double expert_load_worst(const ExpertLoad *load, size_t draw);

#endif

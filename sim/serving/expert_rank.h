/* What the GPU that a layer waits for has of a layer's routed experts: rows, and the experts they
 * go to.
 *
 * Layers place their experts apart from how popular they are: which of them meet on a rank is dealt
 * out MOST_DEALS times, always in the same way, and a cost is the mean over the deals. With copies
 * of popular experts (serving.redundant_experts) the engine places by load: copies go to whichever
 * expert has most rows a copy, and the largest goes to the rank with least (DeepSeek's EPLB). */
#ifndef SIM_SERVING_EXPERT_RANK_H
#define SIM_SERVING_EXPERT_RANK_H

#include "models/expert_choice.h"
#include "sim/serving/token_cost.h"

#include <stddef.h>

enum { MAX_EXPERT_ROWS = 4096, MOST_DEALS = 8 };

typedef struct ExpertRank {
    double rows, touched; /* experts with at least one of the rows; not a whole number */
    size_t experts;       /* whose chances follow; 0: all alike */
    double chance[MOST_CHOSEN_EXPERTS];
} ExpertRank;

/* Ranks among which whole experts are shared. */
double expert_rank_ways(const StageCostKey *key);

/* 1 where placement makes no difference. */
size_t expert_rank_deals(const StageCostKey *key, const ExpertChoice *choice);

/* The fullest rank for `tokens` of all groups.
 *
 * All alike: each of W ranks has a binomial share of the tokens * k rows; the expected largest is
 * the normal quantile (W - 0.375) / (W + 0.25) (Blom 1958), and where a rank with the mean misses a
 * share q of its experts, one with f times as many rows misses q^f. Balanced: no chance, equal
 * shares.
 * By popularity: rank r's rows are normal, mean T sum(pi), variance T sum(pi (1 - pi)), independent
 * of each other but for their sum (Hajek 1964), and the expected largest is the integral of
 * 1 - prod Phi((x - mean) / deviation); `touched` is the sum of 1 - (1 - pi)^(f T) over the experts
 * of the most popular rank. */
ExpertRank expert_rank_fullest(const StageCostKey *key, const ExpertChoice *choice, double tokens,
                               size_t deal);

/* each[touched]: the rank's rows over `touched` of its experts as tokens that choose independently
 * spread them. All alike: an expert's load is binomial with the mean rows / touched, and the
 * experts stand at its normal quantiles; balanced: the mean. By popularity an expert that is
 * touched has T pi / (1 - (1 - pi)^T) rows in the mean; experts are taken at equal steps of what is
 * touched, most popular first, and spread about that mean. */
void expert_rank_rows(const StageCostKey *key, const ExpertRank *rank, double tokens,
                      size_t touched, double *each);

#endif

/* How likely a token takes each expert of a layer, from how popular the experts are.
 *
 * A token takes its k experts one after the other, each by popularity among those that it has not
 * taken yet (Plackett-Luce; what the k largest of logit + Gumbel noise give). */
#ifndef MODELS_EXPERT_CHOICE_H
#define MODELS_EXPERT_CHOICE_H

#include "configs/reader/scenario.h"

#include <stddef.h>

/* More than any published model has, copies included; plan_check refuses more where their
 * popularity matters. */
enum { MOST_CHOSEN_EXPERTS = 1024 };

/* Values that sum to 1, none below 1e-12 of their mean: less and products lose their digits. */
void expert_popularity_normalise(double *values, size_t count);

/* Below which the share u of all x lies whose density is x^-a between 1 and `span`. */
double expert_power_law_quantile(double exponent, double span, double u);

/* popularity[experts] of a typical layer, most popular first, where sim/training draws one: the
 * e-th of E experts has the share of the e-th E-th of the distribution, the increase of its Lorenz
 * curve. Sums to 1.
 *   balanced, uniform  1 / E
 *   lognormal          Phi(z - sigma) between the normal quantiles z; what an auxiliary loss leaves
 *                      has the same form
 *   dirichlet          P(a + 1, x) between the quantiles x of gamma(a)
 *   zipf               r^-s
 *   power_law          (x^(2-a) - 1) / (span^(2-a) - 1) between the quantiles x */
void expert_popularity_typical(const ExpertLoadSpec *spec, size_t experts, double *popularity);

/* inclusion[e] = probability that expert e is among the k of a token; sums to k. `scratch` has room
 * for experts + 2 k. 1 <= k <= experts. */
void expert_inclusion(const double *popularity, size_t experts, size_t k, double *scratch,
                      double *inclusion);

/* A typical layer's experts as the tokens of serving choose them, most popular first. */
typedef struct ExpertChoice {
    ExpertLoadSpec load; /* what it was worked out for, and the model's numbers */
    double model_experts, top_k;
    size_t experts; /* 0: all alike, nothing worked out */
    double chance[MOST_CHOSEN_EXPERTS];
} ExpertChoice;

/* A zeroed choice or one used before: worked out again when something has changed. */
void expert_choice_prepare(ExpertChoice *choice, const ExpertLoadSpec *load,
                           const ModelSpec *model);

/* Experts that at least one of `tokens` takes: the sum of 1 - (1 - chance)^tokens; balanced: rows
 * go to as many experts as there are. Of all experts alike see model_experts_touched. */
double expert_choice_touched(const ExpertChoice *choice, const ModelSpec *model, double tokens);

#endif

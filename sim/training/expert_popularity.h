/* Which experts tokens choose: the popularity of a layer's experts, and the rows that a number of
 * tokens then brings to each of them. Inside sim/training and of what checks it (sim/planning).
 *
 * A token takes its k experts one after the other, each by popularity among those that it has not
 * taken yet (Plackett-Luce; what the k largest of logit + Gumbel noise give). So no expert gets
 * more rows than there are tokens, however popular it is.
 */
#ifndef SIM_TRAINING_EXPERT_POPULARITY_H
#define SIM_TRAINING_EXPERT_POPULARITY_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "sim/engine/random.h"

#include <stddef.h>

enum { MAX_EXPERTS = 65536 };

/* Fills popularity[experts], which sums to 1:
 *   balanced, uniform  1 / E
 *   lognormal          exp(sigma z), z normal; what an auxiliary loss leaves has the same form
 *   dirichlet          symmetric, concentration a: gamma(a) variates over their sum
 *   zipf               r^-s for rank r = 1..E, ranks dealt out to experts at random
 *   power_law          independent, of density x^-a between 1 and the span */
void popularity_draw(const ExpertLoadSpec *spec, size_t experts, RandomStream *stream,
                     double *popularity);

/* One microbatch's popularity: that of the layer times exp(drift z), z normal. */
void popularity_drift(double drift, size_t experts, RandomStream *stream, const double *popularity,
                      double *drifted);

/* Memory and tables to draw rows with. */
typedef struct RowSampler RowSampler;

/* `top_k` experts a token; as many as there are at most. */
RowSampler *row_sampler_create(size_t experts, size_t top_k, Error *error);
void row_sampler_destroy(RowSampler *sampler);

void row_sampler_set(RowSampler *sampler, const double *popularity);

/* rows[experts] of `tokens` tokens (rounded, at most 2^31). Exact for top-1, and token by token
 * where these are few; else every expert's rows have their exact mean and variance, and their sum
 * is right (see the source). */
void row_sampler_draw(RowSampler *sampler, double tokens, RandomStream *stream, double *rows);

/* Probability that a token has expert e among its k, for all e; sums to k. Of the set popularity.
 */
const double *row_sampler_inclusion(RowSampler *sampler);

#endif

#include "sim/training/expert_popularity.h"

#include "models/expert_choice.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_TOKEN_DRAWS = 4096, /* choices that are drawn one by one */
    REJECTIONS = 64          /* tries of the alias table before the rest is searched */
};

static const double LEAST_SHARE = 1e-300; /* what rounding may leave of a share */
static const double MOST_TOKENS = 2147483648.0;

/* GSL's distributions on a stream's own state. */
static gsl_rng generator_of(RandomStream *stream)
{
    return (gsl_rng){.type = random_gsl_xoshiro256pp, .state = stream->state};
}

/* ---- popularity --------------------------------------------------------------------------------
 */

static void draw_equal(const ExpertLoadSpec *spec, size_t experts, RandomStream *stream,
                       double *popularity)
{
    (void)spec;
    (void)stream;
    for (size_t i = 0; i < experts; i++)
        popularity[i] = 1.0;
}

static void draw_lognormal(const ExpertLoadSpec *spec, size_t experts, RandomStream *stream,
                           double *popularity)
{
    for (size_t i = 0; i < experts; i++)
        popularity[i] = exp(spec->sigma * random_normal(stream));
}

static void draw_dirichlet(const ExpertLoadSpec *spec, size_t experts, RandomStream *stream,
                           double *popularity)
{
    const gsl_rng generator = generator_of(stream);
    for (size_t i = 0; i < experts; i++)
        popularity[i] = gsl_ran_gamma(&generator, spec->concentration, 1.0);
}

static void draw_zipf(const ExpertLoadSpec *spec, size_t experts, RandomStream *stream,
                      double *popularity)
{
    for (size_t i = 0; i < experts; i++)
        popularity[i] = pow((double)i + 1.0, -spec->exponent);
    random_shuffle(popularity, experts, stream);
}

static void draw_power_law(const ExpertLoadSpec *spec, size_t experts, RandomStream *stream,
                           double *popularity)
{
    for (size_t i = 0; i < experts; i++)
        popularity[i] =
            expert_power_law_quantile(spec->exponent, spec->span, random_uniform(stream));
}

void popularity_draw(const ExpertLoadSpec *spec, size_t experts, RandomStream *stream,
                     double *popularity)
{
    static void (*const draws[])(const ExpertLoadSpec *, size_t, RandomStream *, double *) = {
        [EXPERT_LOAD_BALANCED] = draw_equal,      [EXPERT_LOAD_UNIFORM] = draw_equal,
        [EXPERT_LOAD_LOGNORMAL] = draw_lognormal, [EXPERT_LOAD_DIRICHLET] = draw_dirichlet,
        [EXPERT_LOAD_ZIPF] = draw_zipf,           [EXPERT_LOAD_AUXILIARY_LOSS] = draw_lognormal,
        [EXPERT_LOAD_POWER_LAW] = draw_power_law,
    };
    draws[spec->model](spec, experts, stream, popularity);
    expert_popularity_normalise(popularity, experts);
}

void popularity_drift(double drift, size_t experts, RandomStream *stream, const double *popularity,
                      double *drifted)
{
    for (size_t i = 0; i < experts; i++)
        drifted[i] = popularity[i] * exp(drift * random_normal(stream));
    expert_popularity_normalise(drifted, experts);
}

/* ---- tables ------------------------------------------------------------------------------------
 */

struct RowSampler {
    size_t experts, top_k;
    double *popularity;
    double *inclusion;
    int has_alias, has_inclusion;
    double
        *keep; /* alias table (Walker 1977, Vose 1991): place i is i with keep[i], else other[i] */
    uint32_t *other;
    uint32_t *taken_by; /* the last token that took this expert */
    uint32_t *places;   /* scratch */
    double *scratch;    /* see expert_inclusion */
};

RowSampler *row_sampler_create(size_t experts, size_t top_k, Error *error)
{
    RowSampler *sampler = NULL;
    if (experts == 0 || experts > MAX_EXPERTS || top_k == 0) {
        error_set(error, STATUS_INVALID, "%zu experts, %zu a token: 1 to %d experts", experts,
                  top_k, MAX_EXPERTS);
        return NULL;
    }
    sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL)
        goto no_memory;
    sampler->experts = experts;
    sampler->top_k = top_k < experts ? top_k : experts;
    sampler->popularity = calloc(experts, sizeof *sampler->popularity);
    sampler->inclusion = calloc(experts, sizeof *sampler->inclusion);
    sampler->keep = calloc(experts, sizeof *sampler->keep);
    sampler->other = calloc(experts, sizeof *sampler->other);
    sampler->taken_by = calloc(experts, sizeof *sampler->taken_by);
    sampler->places = calloc(experts, sizeof *sampler->places);
    sampler->scratch = calloc(experts + 2 * sampler->top_k, sizeof *sampler->scratch);
    if (sampler->popularity != NULL && sampler->inclusion != NULL && sampler->keep != NULL &&
        sampler->other != NULL && sampler->taken_by != NULL && sampler->places != NULL &&
        sampler->scratch != NULL)
        return sampler;
no_memory:
    error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu experts", experts);
    row_sampler_destroy(sampler);
    return NULL;
}

void row_sampler_destroy(RowSampler *sampler)
{
    if (sampler == NULL)
        return;
    free(sampler->popularity);
    free(sampler->inclusion);
    free(sampler->keep);
    free(sampler->other);
    free(sampler->taken_by);
    free(sampler->places);
    free(sampler->scratch);
    free(sampler);
}

void row_sampler_set(RowSampler *sampler, const double *popularity)
{
    memcpy(sampler->popularity, popularity, sampler->experts * sizeof *popularity);
    sampler->has_alias = sampler->has_inclusion = 0;
}

/* Places with less than the mean are filled up from those with more: small ones from the front of
 * `places`, large ones from its back. */
static void fill_alias(RowSampler *sampler)
{
    const size_t experts = sampler->experts;
    size_t small = 0, large = experts;
    for (size_t i = 0; i < experts; i++) {
        sampler->keep[i] = sampler->popularity[i] * (double)experts;
        sampler->other[i] = (uint32_t)i;
        sampler->places[sampler->keep[i] < 1.0 ? small++ : --large] = (uint32_t)i;
    }
    while (small > 0 && large < experts) {
        const uint32_t low = sampler->places[--small], high = sampler->places[large];
        sampler->other[low] = high;
        sampler->keep[high] -= 1.0 - sampler->keep[low];
        if (sampler->keep[high] < 1.0) {
            large++;
            sampler->places[small++] = high;
        }
    }
    while (small > 0) /* rounding leaves some a hair below 1 */
        sampler->keep[sampler->places[--small]] = 1.0;
    sampler->has_alias = 1;
}

static size_t alias_draw(const RowSampler *sampler, RandomStream *stream)
{
    const double place = random_uniform(stream) * (double)sampler->experts;
    const size_t index = (size_t)place;
    return place - (double)index < sampler->keep[index] ? index : sampler->other[index];
}

/* ---- how likely a token takes an expert --------------------------------------------------------
 */

static void fill_inclusion(RowSampler *sampler)
{
    expert_inclusion(sampler->popularity, sampler->experts, sampler->top_k, sampler->scratch,
                     sampler->inclusion);
    sampler->has_inclusion = 1;
}

const double *row_sampler_inclusion(RowSampler *sampler)
{
    if (!sampler->has_inclusion)
        fill_inclusion(sampler);
    return sampler->inclusion;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

/* One choice a token: a multinomial is a chain of binomials. */
static void draw_first(const RowSampler *sampler, double tokens, RandomStream *stream, double *rows)
{
    const gsl_rng generator = generator_of(stream);
    double left = tokens, share = 1.0;
    const size_t last = sampler->experts - 1;
    for (size_t i = 0; i < last && left > 0.0; i++) {
        const double p = fmin(1.0, sampler->popularity[i] / share);
        rows[i] = (double)gsl_ran_binomial(&generator, p, (unsigned)left);
        left -= rows[i];
        share = fmax(share - sampler->popularity[i], LEAST_SHARE);
    }
    rows[last] = left;
}

/* The next expert of a token that has taken what is marked, of weight `left` in all. */
static size_t choose(const RowSampler *sampler, uint32_t token, double left, RandomStream *stream)
{
    for (int i = 0; i < REJECTIONS && left > 0.05; i++) {
        const size_t expert = alias_draw(sampler, stream);
        if (sampler->taken_by[expert] != token)
            return expert;
    }
    double at = random_uniform(stream) * left;
    size_t found = 0;
    for (size_t i = 0; i < sampler->experts; i++) {
        if (sampler->taken_by[i] == token)
            continue;
        found = i;
        at -= sampler->popularity[i];
        if (at < 0.0)
            break;
    }
    return found;
}

static void draw_by_token(RowSampler *sampler, double tokens, RandomStream *stream, double *rows)
{
    if (!sampler->has_alias)
        fill_alias(sampler);
    memset(sampler->taken_by, 0, sampler->experts * sizeof *sampler->taken_by);
    for (uint32_t token = 1; (double)token <= tokens; token++) {
        double left = 1.0;
        for (size_t i = 0; i < sampler->top_k; i++) {
            const size_t expert = choose(sampler, token, left, stream);
            sampler->taken_by[expert] = token;
            left -= sampler->popularity[expert];
            rows[expert] += 1.0;
        }
    }
}

/* Every expert's rows alone are binomial(T, pi). Drawn independently, their sum is off; what it is
 * off is taken back in proportion to the variances D = T pi (1 - pi), the projection that leads to
 * Hajek's (1964) covariances, and deviations are widened before by what that takes away. */
static void draw_by_moments(RowSampler *sampler, double tokens, RandomStream *stream, double *rows)
{
    const gsl_rng generator = generator_of(stream);
    const double *inclusion = row_sampler_inclusion(sampler);
    double variance = 0.0, over = -tokens * (double)sampler->top_k;
    for (size_t i = 0; i < sampler->experts; i++)
        variance += tokens * inclusion[i] * (1.0 - inclusion[i]);
    for (size_t i = 0; i < sampler->experts; i++) {
        const double mean = tokens * inclusion[i];
        const double own = variance > 0.0 ? mean * (1.0 - inclusion[i]) / variance : 0.0;
        const double drawn = (double)gsl_ran_binomial(&generator, inclusion[i], (unsigned)tokens);
        rows[i] = mean + (drawn - mean) / sqrt(fmax(0.5, 1.0 - own));
        over += rows[i];
    }
    double carried = 0.0; /* whole rows: what rounding leaves goes to the next */
    for (size_t i = 0; i < sampler->experts; i++) {
        const double mean = tokens * inclusion[i];
        const double own = variance > 0.0 ? mean * (1.0 - inclusion[i]) / variance : 0.0;
        const double wanted = rows[i] - own * over + carried;
        rows[i] = fmin(tokens, fmax(0.0, round(wanted)));
        carried = wanted - rows[i];
    }
}

void row_sampler_draw(RowSampler *sampler, double tokens, RandomStream *stream, double *rows)
{
    tokens = fmin(MOST_TOKENS, fmax(0.0, round(tokens)));
    memset(rows, 0, sampler->experts * sizeof *rows);
    if (sampler->top_k == sampler->experts)
        for (size_t i = 0; i < sampler->experts; i++)
            rows[i] = tokens;
    else if (sampler->top_k == 1)
        draw_first(sampler, tokens, stream, rows);
    else if (tokens * (double)sampler->top_k <= MOST_TOKEN_DRAWS)
        draw_by_token(sampler, tokens, stream, rows);
    else
        draw_by_moments(sampler, tokens, stream, rows);
}

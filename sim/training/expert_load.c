#include "sim/training/expert_load.h"

#include "models/architecture.h"
#include "models/operators.h"

#include <math.h>
#include <stdlib.h>

static size_t count_of(double number)
{
    return number >= 1.0 ? (size_t)number : 1;
}

static double sum_of(const double *values, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

double expert_load_dropped(const double *rows, size_t experts, double factor)
{
    const double all = sum_of(rows, experts);
    const double places = ceil(factor * all / (double)experts - 1e-9); /* a product of rounding */
    double dropped = 0.0;
    for (size_t i = 0; i < experts; i++)
        dropped += fmax(0.0, rows[i] - places);
    return all > 0.0 ? dropped / all : 0.0;
}

double expert_load_most(const double *rows, size_t experts, size_t ranks)
{
    const size_t experts_of_rank = experts / ranks;
    const double all = sum_of(rows, experts_of_rank * ranks);
    double most = 0.0;
    for (size_t rank = 0; rank < ranks; rank++)
        most = fmax(most, sum_of(rows + rank * experts_of_rank, experts_of_rank));
    return all > 0.0 ? fmax(1.0, most * (double)ranks / all) : 1.0;
}

/* Tokens of a microbatch that meet in one expert-parallel group. */
static double group_tokens(const Scenario *scenario, const ExpertLoad *load)
{
    const double factor = scenario->training.capacity_factor;
    OperatorList list;
    operators_layer_forward(scenario, &list);
    for (size_t i = 0; i < list.count; i++)
        if (list.operators[i].kind == OPERATOR_GROUPED_GEMM)
            return list.operators[i].m * (double)load->ranks /
                   (scenario->model.experts_per_token * (factor > 0.0 ? factor : 1.0));
    return 0.0;
}

/* All layers and microbatches alike. */
static void balance(ExpertLoad *load)
{
    load->balanced = 1;
    load->draws = load->samples = 1;
    for (size_t i = 0; i < load->experts; i++)
        load->share[i] = 1.0 / (double)load->experts;
}

static void draw_sample(const Scenario *scenario, RowSampler *sampler, double tokens,
                        RandomStream *stream, ExpertLoad *load, double *share)
{
    const double factor = scenario->training.capacity_factor;
    const double weight = 1.0 / (double)(load->draws * load->samples);
    if (factor > 0.0) {
        row_sampler_draw(sampler, tokens / (double)load->ranks, stream, share);
        load->dropped += weight * expert_load_dropped(share, load->experts, factor);
    } else {
        row_sampler_draw(sampler, tokens, stream, share);
    }
    load->max_over_mean += weight * expert_load_most(share, load->experts, load->experts);
    load->rank_max_over_mean += weight * expert_load_most(share, load->experts, load->ranks);
    const double all = sum_of(share, load->experts);
    for (size_t i = 0; i < load->experts; i++)
        share[i] = all > 0.0 ? share[i] / all : 1.0 / (double)load->experts;
}

/* `popularity` and `drifted` are scratch. */
static void draw_layers(const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, RowSampler *sampler, double *popularity,
                        double *drifted, ExpertLoad *load)
{
    const ExpertLoadSpec *spec = &scenario->training.expert_load;
    const double tokens = group_tokens(scenario, load);
    RandomStream layers = random_stream(seed, "expert load", replication);
    RandomStream rows = random_stream(seed, "expert tokens", replication);
    load->max_over_mean = load->rank_max_over_mean = 0.0;
    for (size_t draw = 0; draw < load->draws; draw++) {
        popularity_draw(spec, load->experts, &layers, popularity);
        row_sampler_set(sampler, popularity);
        for (size_t sample = 0; sample < load->samples; sample++) {
            if (spec->drift > 0.0) {
                popularity_drift(spec->drift, load->experts, &rows, popularity, drifted);
                row_sampler_set(sampler, drifted);
            }
            draw_sample(scenario, sampler, tokens, &rows, load,
                        load->share + (draw * load->samples + sample) * load->experts);
        }
    }
    if (scenario->training.capacity_factor > 0.0)
        balance(load);
}

Status expert_load_draw(const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, ExpertLoad *load, Error *error)
{
    const ModelSpec *model = &scenario->model;
    const TrainingSpec *training = &scenario->training;
    *load = (ExpertLoad){.max_over_mean = 1.0, .rank_max_over_mean = 1.0};
    if (!(model->experts <= MAX_EXPERTS) || !(training->parallel.expert <= MAX_EXPERTS))
        return error_set(error, STATUS_INVALID, "model.experts = %g is more than %d",
                         model->experts, MAX_EXPERTS);

    load->experts = count_of(model->experts);
    load->ranks = count_of(training->parallel.expert);
    if (load->ranks > load->experts)
        load->ranks = load->experts;
    const int drawn = training->expert_load.model != EXPERT_LOAD_BALANCED && load->experts > 1;
    load->draws = load->samples = 1;
    if (drawn) {
        load->draws = (size_t)fmin(MAX_LOAD_DRAWS, fmax(1.0, model_expert_layers(model)));
        load->samples = MAX_LOAD_SAMPLES;
    }
    /* two more rows of scratch */
    load->share = calloc((load->draws * load->samples + 2) * load->experts, sizeof *load->share);
    if (load->share == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu experts", load->experts);
    if (!drawn) {
        balance(load);
        return STATUS_OK;
    }
    RowSampler *sampler =
        row_sampler_create(load->experts, count_of(model->experts_per_token), error);
    if (sampler == NULL) {
        expert_load_free(load);
        return STATUS_ENVIRONMENT;
    }
    double *scratch = load->share + load->draws * load->samples * load->experts;
    draw_layers(scenario, seed, replication, sampler, scratch, scratch + load->experts, load);
    row_sampler_destroy(sampler);
    return STATUS_OK;
}

void expert_load_free(ExpertLoad *load)
{
    free(load->share);
    *load = (ExpertLoad){0};
}

const double *expert_load_share(const ExpertLoad *load, size_t draw, size_t sample)
{
    return load->share +
           (draw % load->draws * load->samples + sample % load->samples) * load->experts;
}

double expert_load_worst(const ExpertLoad *load, size_t draw, size_t sample)
{
    return expert_load_most(expert_load_share(load, draw, sample), load->experts, load->ranks);
}

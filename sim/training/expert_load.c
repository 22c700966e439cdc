#include "sim/training/expert_load.h"

#include "models/architecture.h"
#include "sim/engine/random.h"

#include <math.h>
#include <stdlib.h>

static void scale_to_sum(double *share, size_t count, double sum)
{
    double total = 0.0;
    for (size_t i = 0; i < count; i++)
        total += share[i];
    for (size_t i = 0; i < count; i++)
        share[i] *= sum / total;
}

/* Cuts shares at `cap` and spreads what was cut over the rest in proportion, until none exceeds it.
 * Each round fixes at least one more expert at the cap, so `count` rounds are enough. */
static void limit_shares(double *share, size_t count, double cap)
{
    for (size_t round = 0; round < count; round++) {
        double over = 0.0, below = 0.0;
        for (size_t i = 0; i < count; i++) {
            if (share[i] >= cap) {
                over += share[i] - cap;
                share[i] = cap;
            } else {
                below += share[i];
            }
        }
        if (over <= 0.0 || below <= 0.0)
            return;
        for (size_t i = 0; i < count; i++)
            if (share[i] < cap)
                share[i] *= 1.0 + over / below;
    }
}

/* Copies above `factor` times the mean, as a share of all. */
static double dropped_share(const double *share, size_t count, double factor)
{
    const double place = factor / (double)count;
    double dropped = 0.0;
    for (size_t i = 0; i < count; i++)
        dropped += fmax(0.0, share[i] - place);
    return dropped;
}

/* Every expert works on its capacity; draws are all alike then. */
static void fill_capacity(ExpertLoad *load, double factor)
{
    for (size_t draw = 0; draw < load->draws; draw++)
        load->dropped += dropped_share(expert_load_share(load, draw), load->experts, factor) /
                         (double)load->draws;
    for (size_t i = 0; i < load->experts; i++)
        load->share[i] = 1.0 / (double)load->experts;
    load->draws = 1;
}

static size_t count_of(double number)
{
    size_t count = number >= 1.0 ? (size_t)number : 1;
    return count > 0 ? count : 1;
}

Status expert_load_draw(const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, ExpertLoad *load, Error *error)
{
    const ModelSpec *model = &scenario->model;
    double sigma = scenario->training.expert_load_sigma;
    *load = (ExpertLoad){0};
    if (!(model->experts <= MAX_EXPERTS) || !(scenario->training.parallel.expert <= MAX_EXPERTS))
        return error_set(error, STATUS_INVALID, "model.experts = %g is more than %d",
                         model->experts, MAX_EXPERTS);

    load->experts = count_of(model->experts);
    load->ranks = count_of(scenario->training.parallel.expert);
    if (load->ranks > load->experts)
        load->ranks = load->experts;
    load->draws = 1;
    if (sigma > 0.0 && load->experts > 1)
        load->draws = (size_t)fmin(MAX_LOAD_DRAWS, fmax(1.0, model_expert_layers(model)));
    load->share = calloc(load->draws * load->experts, sizeof *load->share);
    if (load->share == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu experts", load->experts);

    RandomStream stream = random_stream(seed, "expert load", replication);
    for (size_t draw = 0; draw < load->draws; draw++) {
        double *share = load->share + draw * load->experts;
        for (size_t i = 0; i < load->experts; i++)
            share[i] = load->draws > 1 ? exp(sigma * random_normal(&stream)) : 1.0;
        scale_to_sum(share, load->experts, 1.0);
        limit_shares(share, load->experts,
                     1.0 / fmax(1.0, fmin(model->experts_per_token, model->experts)));
    }
    if (scenario->training.capacity_factor > 0.0)
        fill_capacity(load, scenario->training.capacity_factor);
    return STATUS_OK;
}

void expert_load_free(ExpertLoad *load)
{
    free(load->share);
    *load = (ExpertLoad){0};
}

const double *expert_load_share(const ExpertLoad *load, size_t draw)
{
    return load->share + draw % load->draws * load->experts;
}

double expert_load_worst(const ExpertLoad *load, size_t draw)
{
    const double *share = expert_load_share(load, draw);
    size_t experts_of_rank = load->experts / load->ranks;
    double worst = 0.0;
    for (size_t rank = 0; rank < load->ranks; rank++) {
        double sum = 0.0;
        for (size_t i = 0; i < experts_of_rank; i++)
            sum += share[rank * experts_of_rank + i];
        worst = fmax(worst, sum);
    }
    return fmax(1.0, worst * (double)load->ranks);
}

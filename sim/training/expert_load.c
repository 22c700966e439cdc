#include "sim/training/expert_load.h"

#include "models/architecture.h"
#include "models/operators.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static size_t ranks_of(const Scenario *scenario)
{
    const size_t experts = count_of(scenario->model.experts);
    const size_t ranks = count_of(scenario->training.parallel.expert);
    return ranks < experts ? ranks : experts;
}

/* Tokens of a microbatch that meet in one expert-parallel group. */
static double group_tokens(const Scenario *scenario, size_t ranks)
{
    const double factor = scenario->training.capacity_factor;
    OperatorList list;
    operators_layer_forward(scenario, &list);
    for (size_t i = 0; i < list.count; i++)
        if (list.operators[i].kind == OPERATOR_GROUPED_GEMM)
            return list.operators[i].m * (double)ranks /
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
    load->worst[0] = expert_load_most(load->share, load->experts, load->ranks);
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
    const double all = sum_of(share, load->experts);
    for (size_t i = 0; i < load->experts; i++)
        share[i] = all > 0.0 ? share[i] / all : 1.0 / (double)load->experts;
}

/* What follows from the shares and the ranks. */
static void measure(ExpertLoad *load)
{
    const size_t count = load->draws * load->samples;
    load->max_over_mean = load->rank_max_over_mean = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double *share = load->share + i * load->experts;
        load->worst[i] = expert_load_most(share, load->experts, load->ranks);
        load->rank_max_over_mean += load->worst[i] / (double)count;
        load->max_over_mean +=
            expert_load_most(share, load->experts, load->experts) / (double)count;
    }
}

/* `popularity` and `drifted` are scratch. */
static void draw_layers(const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, RowSampler *sampler, double *popularity,
                        double *drifted, ExpertLoad *load)
{
    const ExpertLoadSpec *spec = &scenario->training.expert_load;
    const double tokens = group_tokens(scenario, load->ranks);
    RandomStream layers = random_stream(seed, "expert load", replication);
    RandomStream rows = random_stream(seed, "expert tokens", replication);
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
    measure(load);
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
    load->ranks = ranks_of(scenario);
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

/* ---- loads that plans share ---- */

enum { MEMO_PLACES = 256 };

/* What draws depend on beside ranks and tokens. */
enum { KEY_NUMBERS = 10 };
typedef struct LoadKey {
    unsigned long long seed, replication;
    double numbers[KEY_NUMBERS];
} LoadKey;

struct ExpertLoadMemo {
    struct {
        int filled;
        size_t ranks;
        double tokens;
        LoadKey key;
        ExpertLoad load;
    } places[MEMO_PLACES];
};

static LoadKey key_of(const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication)
{
    const ExpertLoadSpec *spec = &scenario->training.expert_load;
    return (LoadKey){seed,
                     replication,
                     {scenario->model.experts, scenario->model.experts_per_token,
                      model_expert_layers(&scenario->model), scenario->training.capacity_factor,
                      (double)spec->model, spec->sigma, spec->concentration, spec->exponent,
                      spec->span, spec->drift}};
}

static int same_key(const LoadKey *a, const LoadKey *b)
{
    int differ = a->seed != b->seed || a->replication != b->replication;
    for (int i = 0; i < KEY_NUMBERS; i++)
        differ |= a->numbers[i] < b->numbers[i] || a->numbers[i] > b->numbers[i];
    return !differ;
}

static size_t place_of(const LoadKey *key, size_t ranks, double tokens)
{
    uint64_t mixed = ranks * 31 + (size_t)fmin(tokens, 1e15);
    for (int i = 0; i < KEY_NUMBERS; i++) {
        uint64_t bits;
        memcpy(&bits, &key->numbers[i], sizeof bits);
        mixed = (mixed ^ bits) * 0x9e3779b97f4a7c15U;
    }
    return (size_t)(mixed >> 32) % MEMO_PLACES;
}

ExpertLoadMemo *expert_load_memo_create(Error *error)
{
    ExpertLoadMemo *memo = calloc(1, sizeof *memo);
    if (memo == NULL)
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return memo;
}

void expert_load_memo_destroy(ExpertLoadMemo *memo)
{
    for (size_t i = 0; memo != NULL && i < MEMO_PLACES; i++)
        expert_load_free(&memo->places[i].load);
    free(memo);
}

/* What was drawn for as many tokens among other ranks: the rows do not depend on the ranks unless a
 * capacity factor looks at each rank's own. */
static const ExpertLoad *find_tokens(const ExpertLoadMemo *memo, const Scenario *scenario,
                                     const LoadKey *key, double tokens)
{
    for (size_t i = 0; i < MEMO_PLACES && !(scenario->training.capacity_factor > 0.0); i++)
        if (memo->places[i].filled && !(memo->places[i].tokens < tokens) &&
            !(memo->places[i].tokens > tokens) && same_key(&memo->places[i].key, key))
            return &memo->places[i].load;
    return NULL;
}

static Status regroup(const ExpertLoad *drawn, size_t ranks, ExpertLoad *load, Error *error)
{
    const size_t count = drawn->draws * drawn->samples * drawn->experts;
    *load = *drawn;
    load->ranks = ranks;
    load->share = calloc(count, sizeof *load->share);
    if (load->share == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu experts", load->experts);
    memcpy(load->share, drawn->share, count * sizeof *load->share);
    if (load->balanced)
        balance(load);
    else
        measure(load);
    return STATUS_OK;
}

Status expert_load_find(ExpertLoadMemo *memo, const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, const ExpertLoad **load, Error *error)
{
    const size_t ranks = ranks_of(scenario);
    const double tokens = group_tokens(scenario, ranks);
    const LoadKey key = key_of(scenario, seed, replication);
    const size_t place = place_of(&key, ranks, tokens);
    if (!memo->places[place].filled || memo->places[place].ranks != ranks ||
        memo->places[place].tokens < tokens || memo->places[place].tokens > tokens ||
        !same_key(&memo->places[place].key, &key)) {
        expert_load_free(&memo->places[place].load);
        memo->places[place].filled = 0;
        const ExpertLoad *alike = find_tokens(memo, scenario, &key, tokens);
        Status status = alike != NULL ? regroup(alike, ranks, &memo->places[place].load, error)
                                      : expert_load_draw(scenario, seed, replication,
                                                         &memo->places[place].load, error);
        if (status != STATUS_OK)
            return status;
        memo->places[place].filled = 1;
        memo->places[place].ranks = ranks;
        memo->places[place].tokens = tokens;
        memo->places[place].key = key;
    }
    *load = &memo->places[place].load;
    return STATUS_OK;
}

const double *expert_load_share(const ExpertLoad *load, size_t draw, size_t sample)
{
    return load->share +
           (draw % load->draws * load->samples + sample % load->samples) * load->experts;
}

double expert_load_worst(const ExpertLoad *load, size_t draw, size_t sample)
{
    return load->worst[draw % load->draws * load->samples + sample % load->samples];
}

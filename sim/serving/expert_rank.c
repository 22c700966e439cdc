#include "sim/serving/expert_rank.h"

#include "models/architecture.h"
#include "sim/engine/random.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

enum { MAXIMUM_STEPS = 64 };

static const double BELOW = 5.0, ABOVE = 6.0; /* deviations that the integral reaches */

double expert_rank_ways(const StageCostKey *key)
{
    const double copies = key->model.experts + key->redundant_experts;
    return fmin(fmax(1, key->expert), copies);
}

static int is_balanced(const StageCostKey *key)
{
    return key->expert_load.model == EXPERT_LOAD_BALANCED;
}

/* Experts with their copies. */
static size_t placed_experts(const StageCostKey *key, const ExpertChoice *choice)
{
    return (size_t)fmin((double)choice->experts + key->redundant_experts, MOST_CHOSEN_EXPERTS);
}

size_t expert_rank_deals(const StageCostKey *key, const ExpertChoice *choice)
{
    const double ways = expert_rank_ways(key);
    const int is_dealt = choice->experts > 0 && ways > 1 && ways < (double)choice->experts &&
                         key->redundant_experts <= 0;
    return is_dealt ? MOST_DEALS : 1;
}

/* ---- all alike ---------------------------------------------------------------------------------
 */

/* Rows of the fullest rank over the mean. */
static double fullest_rank(double rows, double ways)
{
    if (ways <= 1 || rows <= 0)
        return 1;
    const double mean = rows / ways;
    const double deviation = sqrt(mean * (1 - 1 / ways));
    const double rank = gsl_cdf_ugaussian_Pinv((ways - 0.375) / (ways + 0.25));
    return fmin(ways, 1 + rank * deviation / mean);
}

/* Of `held` experts that rows touch `touched` of in the mean, those that `more` times as many rows
 * do: each of these misses an expert apart from the others. */
static double touched_by(double held, double touched, double more)
{
    return touched >= held ? touched : held * (1 - pow(1 - touched / held, more));
}

static void fullest_alike(const StageCostKey *key, const ExpertChoice *choice, double tokens,
                          ExpertRank *rank)
{
    const ModelSpec *model = &key->model;
    const double all_rows = tokens * fmin(model->experts_per_token, model->experts);
    const double ways = expert_rank_ways(key);
    const double copies = model->experts + key->redundant_experts;
    const double most = fmin(ceil(copies / ways), MAX_EXPERT_ROWS);
    const double fullest = is_balanced(key) ? 1 : fullest_rank(all_rows, ways);
    const double touched = expert_choice_touched(choice, model, tokens) / ways;
    const double held = model->experts / ways;
    rank->rows = all_rows / ways * fullest;
    rank->touched = fmin(most, fmax(1, touched_by(held, touched, fullest)));
}

/* ---- by popularity -----------------------------------------------------------------------------
 */

/* Where each of `count` experts, copies among them, lies: the ranks' experts one after another. */
typedef struct Placement {
    size_t count, ways, most;         /* most experts of a rank */
    size_t held[MOST_CHOSEN_EXPERTS]; /* of each rank */
    double share[MOST_CHOSEN_EXPERTS];
    size_t rank[MOST_CHOSEN_EXPERTS]; /* of each expert */
} Placement;

/* Each copy goes to the expert with the largest share a copy. */
static void share_copies(const ExpertChoice *choice, size_t count, double *share)
{
    size_t copies[MOST_CHOSEN_EXPERTS];
    size_t at = 0;
    for (size_t i = 0; i < choice->experts; i++)
        copies[i] = 1;
    for (size_t extra = choice->experts; extra < count; extra++) {
        size_t most = 0;
        for (size_t i = 1; i < choice->experts; i++)
            if (choice->chance[i] * (double)copies[most] > choice->chance[most] * (double)copies[i])
                most = i;
        copies[most]++;
    }
    for (size_t i = 0; i < choice->experts; i++)
        for (size_t copy = 0; copy < copies[i]; copy++)
            share[at++] = choice->chance[i] / (double)copies[i];
}

/* The largest first, to the rank with least that has room. */
static void pack(Placement *placement)
{
    double load[MOST_CHOSEN_EXPERTS] = {0};
    unsigned char packed[MOST_CHOSEN_EXPERTS] = {0};
    for (size_t n = 0; n < placement->count; n++) {
        size_t expert = placement->count, least = placement->ways;
        for (size_t i = 0; i < placement->count; i++)
            if (!packed[i] &&
                (expert == placement->count || placement->share[i] > placement->share[expert]))
                expert = i;
        for (size_t rank = 0; rank < placement->ways; rank++)
            if (placement->held[rank] < placement->most &&
                (least == placement->ways || load[rank] < load[least]))
                least = rank;
        packed[expert] = 1;
        load[least] += placement->share[expert];
        placement->held[least]++;
        placement->rank[expert] = least;
    }
}

static void place(const StageCostKey *key, const ExpertChoice *choice, size_t deal,
                  Placement *placement)
{
    memset(placement, 0, sizeof *placement);
    placement->count = placed_experts(key, choice);
    placement->ways = (size_t)fmin(expert_rank_ways(key), (double)placement->count);
    placement->most = (placement->count + placement->ways - 1) / placement->ways;
    share_copies(choice, placement->count, placement->share);
    if (placement->count > choice->experts) {
        pack(placement);
        return;
    }
    if (expert_rank_deals(key, choice) > 1) {
        RandomStream stream = random_stream(0, "expert ranks", deal);
        random_shuffle(placement->share, placement->count, &stream);
    }
    for (size_t i = 0; i < placement->count; i++)
        placement->rank[i] = i * placement->ways / placement->count;
}

/* Expected largest of independent normals: below `low` it is not, above `high` neither. */
static double expected_largest(const double *mean, const double *deviation, size_t count)
{
    double low = -HUGE_VAL, high = -HUGE_VAL;
    for (size_t i = 0; i < count; i++) {
        low = fmax(low, mean[i] - BELOW * deviation[i]);
        high = fmax(high, mean[i] + ABOVE * deviation[i]);
    }
    const double step = (high - low) / MAXIMUM_STEPS;
    double largest = low;
    for (size_t n = 0; n < MAXIMUM_STEPS; n++) {
        const double x = low + ((double)n + 0.5) * step;
        double all_below = 1;
        for (size_t i = 0; i < count; i++)
            if (x < mean[i] + ABOVE * deviation[i])
                all_below *= gsl_cdf_ugaussian_P((x - mean[i]) / deviation[i]);
        largest += (1 - all_below) * step;
    }
    return largest;
}

/* The experts of one rank, most popular first. */
static void take_experts(const Placement *placement, size_t of, ExpertRank *rank)
{
    for (size_t i = 0; i < placement->count && rank->experts < MOST_CHOSEN_EXPERTS; i++) {
        if (placement->rank[i] != of)
            continue;
        size_t at = rank->experts++;
        for (; at > 0 && rank->chance[at - 1] < placement->share[i]; at--)
            rank->chance[at] = rank->chance[at - 1];
        rank->chance[at] = placement->share[i];
    }
}

static void fullest_popular(const StageCostKey *key, const ExpertChoice *choice, double tokens,
                            size_t deal, ExpertRank *rank)
{
    Placement placement;
    double mean[MOST_CHOSEN_EXPERTS] = {0}, deviation[MOST_CHOSEN_EXPERTS] = {0};
    size_t hot = 0;
    place(key, choice, deal, &placement);
    for (size_t i = 0; i < placement.count; i++) {
        const double share = placement.share[i];
        mean[placement.rank[i]] += tokens * share;
        deviation[placement.rank[i]] += tokens * share * (1 - share);
    }
    for (size_t i = 0; i < placement.ways; i++) {
        deviation[i] = sqrt(deviation[i]);
        if (mean[i] > mean[hot])
            hot = i;
    }
    take_experts(&placement, hot, rank);
    const double k = fmin(key->model.experts_per_token, key->model.experts);
    const double most = tokens * fmin(k, (double)rank->experts);
    rank->rows = mean[hot];
    if (placement.ways > 1)
        rank->rows = fmin(most, fmax(mean[hot], expected_largest(mean, deviation, placement.ways)));
    /* The fullest rank's experts are chosen by as many more tokens. */
    const double choosing = mean[hot] > 0 ? tokens * rank->rows / mean[hot] : tokens;
    for (size_t i = 0; i < rank->experts; i++)
        rank->touched += 1 - pow(1 - rank->chance[i], choosing);
    rank->touched = fmax(1, rank->touched);
}

ExpertRank expert_rank_fullest(const StageCostKey *key, const ExpertChoice *choice, double tokens,
                               size_t deal)
{
    ExpertRank rank; /* chances beyond its experts are not read */
    rank.rows = rank.touched = 0;
    rank.experts = 0;
    if (choice->experts > 0)
        fullest_popular(key, choice, tokens, deal, &rank);
    else
        fullest_alike(key, choice, tokens, &rank);
    return rank;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static void alike_rows(const StageCostKey *key, const ExpertRank *rank, size_t touched,
                       double *each)
{
    const ModelSpec *model = &key->model;
    const double mean = rank->rows / (double)touched;
    const double chosen = fmin(1, model->experts_per_token / model->experts);
    const double deviation = is_balanced(key) ? 0 : sqrt(mean * (1 - chosen));

    for (size_t expert = 0; expert < touched; expert++) {
        const double at = ((double)expert + 0.5) / (double)touched;
        /* An expert that is touched at all has a row. */
        each[expert] = fmax(fmin(1, mean), mean + deviation * gsl_cdf_ugaussian_Pinv(at));
    }
}

/* The multiples of the golden ratio spread chance evenly over any stretch of experts. */
static void popular_rows(const ExpertRank *rank, double tokens, size_t touched, double *each)
{
    static const double GOLDEN = 0.61803398874989485;
    const double step = rank->touched / (double)touched;
    size_t at = 0;
    double touch = 1 - pow(1 - rank->chance[0], tokens), passed = touch;

    for (size_t expert = 0; expert < touched; expert++) {
        while (passed < ((double)expert + 0.5) * step && at + 1 < rank->experts) {
            touch = 1 - pow(1 - rank->chance[++at], tokens);
            passed += touch;
        }
        const double chance = rank->chance[at];
        const double mean = touch > 0 ? tokens * chance / touch : 1;
        const double quantile = fmod(((double)expert + 0.5) * GOLDEN, 1);
        const double deviation = sqrt(mean * (1 - chance)) * gsl_cdf_ugaussian_Pinv(quantile);
        each[expert] = fmin(fmax(1, tokens), fmax(fmin(1, mean), mean + deviation));
    }
}

void expert_rank_rows(const StageCostKey *key, const ExpertRank *rank, double tokens,
                      size_t touched, double *each)
{
    double sum = 0;
    if (rank->experts > 0)
        popular_rows(rank, tokens, touched, each);
    else
        alike_rows(key, rank, touched, each);
    for (size_t expert = 0; expert < touched; expert++)
        sum += each[expert];
    for (size_t expert = 0; expert < touched; expert++)
        each[expert] *= rank->rows / sum;
}

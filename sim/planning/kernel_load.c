#include "sim/planning/kernel_load.h"

#include "sim/engine/random.h"

#include <math.h>
#include <string.h>

static void balanced_rows(const KernelLoad *load, double *all)
{
    const size_t experts = load->experts;
    const size_t stride = (experts + load->top_k - 1) / load->top_k;
    const size_t tokens = (size_t)load->tokens;
    if (tokens < stride) {
        for (size_t token = 0; token < tokens; token++)
            for (size_t i = 0; i < load->top_k; i++)
                all[(token * stride / tokens + i * stride) % experts] += 1;
        return;
    }
    /* Every choice i goes round all experts, and the last round is not full. */
    for (size_t i = 0; i < load->top_k; i++)
        for (size_t e = 0; e < experts; e++) {
            const size_t place = (e + experts - i * stride % experts) % experts;
            all[e] += (double)(tokens / experts + (place < tokens % experts));
        }
}

static void limit_rows(double *all, size_t experts, double most)
{
    for (size_t round = 0; round < experts; round++) {
        double over = 0, below = 0;
        for (size_t e = 0; e < experts; e++) {
            over += fmax(0, all[e] - most);
            all[e] = fmin(all[e], most);
            below += all[e] < most ? all[e] : 0;
        }
        if (over <= 0 || below <= 0)
            return;
        for (size_t e = 0; e < experts; e++)
            if (all[e] < most)
                all[e] *= 1 + over / below;
    }
}

/* Whole rows, as many as are routed: what rounding adds or takes is made up for one by one, from
 * the most popular expert on, as long as it stays between no row and one a token. */
static void round_rows(double *all, size_t experts, double routed, double most)
{
    size_t order[KERNEL_MAX_EXPERTS];
    double sum = 0;
    for (size_t e = 0; e < experts; e++) {
        size_t at = e;
        for (; at > 0 && all[order[at - 1]] < all[e]; at--)
            order[at] = order[at - 1];
        order[at] = e;
    }
    for (size_t e = 0; e < experts; e++) {
        all[e] = round(all[e]);
        sum += all[e];
    }
    const double step = sum < routed ? 1 : -1;
    for (size_t tries = 0; fabs(routed - sum) >= 1 && tries < 2 * experts; tries++) {
        double *rows = &all[order[tries % experts]];
        if (*rows + step < 0 || *rows + step > most)
            continue;
        *rows += step;
        sum += step;
    }
}

static void power_law_rows(const KernelLoad *load, RandomStream *stream, double *all)
{
    const double routed = load->tokens * (double)load->top_k;
    const int many = routed > (double)load->experts;
    const double low = many ? 1 : 0.01, high = many ? 0.8 * load->tokens : 2;
    const double power = 1 - load->alpha; /* alpha is not 1 */
    const double from = pow(low, power), to = pow(high, power);
    double sum = 0;
    for (size_t e = 0; e < load->experts; e++) {
        all[e] = pow((to - from) * random_uniform(stream) + from, 1 / power);
        sum += all[e];
    }
    for (size_t e = 0; e < load->experts; e++)
        all[e] *= routed / sum;
    limit_rows(all, load->experts, load->tokens);
    round_rows(all, load->experts, routed, load->tokens);
}

static const double *fullest_rank(const KernelLoad *load, const double *all)
{
    const size_t each = load->experts / load->ranks;
    const double *fullest = all;
    double most = -1;
    for (size_t rank = 0; rank < load->ranks; rank++) {
        double sum = 0;
        for (size_t e = 0; e < each; e++)
            sum += all[rank * each + e];
        if (sum > most) {
            most = sum;
            fullest = all + rank * each;
        }
    }
    return fullest;
}

size_t kernel_load_draw(const KernelLoad *load, const char *key, double *rows)
{
    const size_t each = load->experts / load->ranks;
    const size_t draws = load->alpha > 0 ? KERNEL_LOAD_DRAWS : 1;
    RandomStream stream = random_stream(random_hash(key), "expert load", 0);
    for (size_t draw = 0; draw < draws; draw++) {
        double all[KERNEL_MAX_EXPERTS] = {0};
        if (load->alpha > 0)
            power_law_rows(load, &stream, all);
        else
            balanced_rows(load, all);
        memcpy(rows + draw * each, fullest_rank(load, all), each * sizeof *rows);
    }
    return draws;
}

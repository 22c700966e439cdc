#include "sim/training/steady.h"

#include <math.h>
#include <string.h>

static void save(Steady *steady)
{
    double *to = steady->saved;
    for (size_t i = 0; i < steady->part_count; to += steady->parts[i++].count)
        memcpy(to, steady->parts[i].numbers, steady->parts[i].count * sizeof *to);
    steady->since = 0;
}

/* What all numbers of 0 or more have grown by, rounding aside, or -1. */
static double growth(const Steady *steady)
{
    const double rounding = 1e-15 * (double)(1 + steady->since);
    const double *before = steady->saved;
    const double growth_s = steady->parts[0].numbers[0] - before[0];
    for (size_t i = 0; i < steady->part_count; before += steady->parts[i++].count)
        for (size_t j = 0; j < steady->parts[i].count; j++) {
            const double now_s = steady->parts[i].numbers[j];
            if (now_s >= 0.0 && !(fabs(now_s - before[j] - growth_s) <= rounding * now_s))
                return -1.0;
        }
    return growth_s;
}

void steady_begin(Steady *steady)
{
    steady->patience = 1;
    save(steady);
}

size_t steady_skip(Steady *steady, size_t left)
{
    steady->since++;
    const double growth_s = growth(steady);
    if (growth_s >= 0.0) {
        const size_t times = left / steady->since;
        for (size_t i = 0; i < steady->part_count; i++)
            for (size_t j = 0; j < steady->parts[i].count; j++)
                steady->parts[i].numbers[j] += (double)times * growth_s;
        return times * steady->since;
    }
    if (steady->since >= steady->patience) {
        save(steady);
        steady->patience = 2 * steady->patience < steady->most_patience ? 2 * steady->patience
                                                                        : steady->most_patience;
    }
    return 0;
}

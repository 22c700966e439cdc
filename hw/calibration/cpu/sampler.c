#include "hw/calibration/cpu/sampler.h"

#include <math.h>
#include <sys/resource.h>
#include <time.h>

/* How long and how often, in full and with --quick. A sample of very short work repeats it. */
typedef struct Effort {
    size_t warm_ups, least;
    double warm_up_s, enough_s, least_sample_s;
} Effort;

static const Effort FULL = {5, 30, 0.02, 0.3, 1e-4}, QUICK = {2, 7, 0.002, 0.03, 5e-5};

enum { LEAST_KEPT = 3, TRIES_PER_SAMPLE = 4, MOST_REPEATS = 4096 };

/* What one preemption costs in caches to fill again; a sample may lose a twentieth to it. */
static const double refill_s = 1e-4, refill_share = 0.05;
static const double awake_share = 0.9; /* of wall time that the first thread must have run */

static double clock_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double sampler_now_s(void)
{
    return clock_s(CLOCK_MONOTONIC);
}

static long preemptions(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

void sampler_start(Sampler *sampler, FILE *out, int threads, int quick, size_t of)
{
    *sampler = (Sampler){.out = out, .threads = threads, .quick = quick, .of = of};
    sampler->started_s = sampler_now_s();
}

/* Seconds of `repeats` turns; *disturbed is set when they do not count. */
static double sample(const Sampler *sampler, SamplerWork work, void *context, size_t *turn,
                     size_t repeats, int *disturbed)
{
    const long before = preemptions();
    const double cpu_start = clock_s(CLOCK_THREAD_CPUTIME_ID), wall_start = sampler_now_s();
    for (size_t i = 0; i < repeats; ++i)
        work(context, (*turn)++);
    const double wall_s = sampler_now_s() - wall_start;
    const double cpu_s = clock_s(CLOCK_THREAD_CPUTIME_ID) - cpu_start;
    const long lost = preemptions() - before;
    if (sampler->threads == 1) {
        *disturbed = (double)lost * refill_s > refill_share * cpu_s;
        return cpu_s;
    }
    *disturbed = lost > 0 || cpu_s < awake_share * wall_s;
    return wall_s;
}

void sampler_collect(Sampler *sampler, SamplerWork work, SamplerKeep keep, void *context,
                     size_t rounds, SampleSet *set)
{
    const Effort *effort = sampler->quick ? &QUICK : &FULL;
    const size_t wanted = set->kept + (effort->least + rounds - 1) / rounds;
    const size_t least = set->kept + (LEAST_KEPT + rounds - 1) / rounds;
    const size_t warm_ups = (effort->warm_ups + rounds - 1) / rounds;
    const double enough_s = effort->enough_s / (double)rounds;
    double turn_s = HUGE_VAL, spent_s = 0;
    int disturbed = 0;
    const double start_s = sampler_now_s();
    for (size_t i = 0; i < warm_ups || sampler_now_s() - start_s < effort->warm_up_s; ++i)
        turn_s = fmin(turn_s, sample(sampler, work, context, &set->turn, 1, &disturbed));
    size_t repeats = (size_t)ceil(effort->least_sample_s / fmax(turn_s, 1e-9));
    repeats = keep != NULL || repeats < 1 ? 1 : repeats > MOST_REPEATS ? MOST_REPEATS : repeats;
    for (size_t tries = 0; tries < TRIES_PER_SAMPLE * effort->least / rounds; ++tries) {
        if (set->kept == SAMPLER_MOST || set->kept >= wanted ||
            (set->kept >= least && spent_s > enough_s))
            break;
        const double seconds = sample(sampler, work, context, &set->turn, repeats, &disturbed);
        spent_s += seconds;
        if (disturbed) {
            ++set->dropped;
            continue;
        }
        if (keep != NULL)
            keep(context, set->kept);
        set->samples_us[set->kept++] = 1e6 * seconds / (double)repeats;
    }
}

int sampler_finish(Sampler *sampler, SampleSet *set, CalPoint *point)
{
    sampler->kept += set->kept;
    sampler->disturbed += set->dropped;
    cal_statistics(set->samples_us, set->kept, point);
    point->dropped = (double)set->dropped;
    return set->kept >= LEAST_KEPT && point->us_med > 0;
}

int sampler_measure(Sampler *sampler, SamplerWork work, SamplerKeep keep, void *context,
                    CalPoint *point)
{
    SampleSet set = {0};
    sampler_collect(sampler, work, keep, context, 1, &set);
    return sampler_finish(sampler, &set, point);
}

void sampler_write(Sampler *sampler, const CalPoint *point)
{
    if (cal_write_point(sampler->out, point) == 0)
        ++sampler->points;
}

void sampler_progress(Sampler *sampler, const char *what)
{
    const double spent_s = sampler_now_s() - sampler->started_s;
    const size_t done = ++sampler->done;
    const double left_s =
        done < sampler->of ? spent_s / (double)done * (double)(sampler->of - done) : 0;
    cal_write_progress(sampler->out, done, sampler->of, left_s, what);
}

int sampler_too_disturbed(const Sampler *sampler)
{
    return sampler->disturbed > sampler->kept;
}

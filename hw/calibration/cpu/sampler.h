/* Repeated timing of one piece of work on a machine that other programs use too.
 *
 * With one thread the time is that thread's CPU time, which other programs do not stretch beyond
 * the caches they spoil; with more it is wall time. A sample that something else disturbed is
 * dropped and taken again, within bounds.
 */
#ifndef HW_CALIBRATION_CPU_SAMPLER_H
#define HW_CALIBRATION_CPU_SAMPLER_H

#include "hw/calibration/records.h"

enum { SAMPLER_MOST = 64 };

typedef struct Sampler {
    FILE *out;
    int threads;
    int quick;
    size_t done, of; /* measurements, for the progress lines */
    double started_s;
    size_t points; /* written */
    size_t kept, disturbed;
} Sampler;

/* `turn` counts up, so that work can rotate its operands. */
typedef void (*SamplerWork)(void *context, size_t turn);

/* Called behind every sample that is kept, with its place among the kept. */
typedef void (*SamplerKeep)(void *context, size_t sample);

/* Samples of one piece of work, taken in one round or in several with other work between them. */
typedef struct SampleSet {
    size_t kept, dropped, turn;
    double samples_us[SAMPLER_MOST];
} SampleSet;

void sampler_start(Sampler *sampler, FILE *out, int threads, int quick, size_t of);

/* Warms up and takes one of `rounds` shares of the samples; `keep` may be NULL. */
void sampler_collect(Sampler *sampler, SamplerWork work, SamplerKeep keep, void *context,
                     size_t rounds, SampleSet *set);

/* The statistics of `point`. 0 when fewer than three samples were undisturbed. */
int sampler_finish(Sampler *sampler, SampleSet *set, CalPoint *point);

/* Both, in one round. */
int sampler_measure(Sampler *sampler, SamplerWork work, SamplerKeep keep, void *context,
                    CalPoint *point);

/* Writes the point and counts it; a measurement may give several. */
void sampler_write(Sampler *sampler, const CalPoint *point);

/* A line of progress: one more measurement is done. */
void sampler_progress(Sampler *sampler, const char *what);

/* More than half of all samples were disturbed: nothing of the session counts. */
int sampler_too_disturbed(const Sampler *sampler);

double sampler_now_s(void);

#endif

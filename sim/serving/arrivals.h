/* When requests arrive and how long they are: drawn, or replayed from a trace.
 *
 * Gaps are exponential (Poisson), gamma with a coefficient of variation, or all equal; a daily
 * swing stretches and shrinks them. They and the lengths come from streams of their own: the same
 * seed gives the same requests, in the same order, at any rate (common random numbers).
 */
#ifndef SIM_SERVING_ARRIVALS_H
#define SIM_SERVING_ARRIVALS_H

#include "configs/reader/scenario.h"
#include "sim/engine/random.h"
#include "sim/serving/rate_curve.h"
#include "sim/serving/trace_reader.h"

typedef TraceRow Arrival;

typedef struct ArrivalStream {
    ArrivalProcess process;
    double cv;
    double rate_per_s; /* mean; of a trace: 0 as recorded, else the times are scaled by `stretch` */
    double swing;
    double stretch;
    double mean_prompt, mean_output, sigma, context_limit;
    RandomStream gaps, lengths, prefixes;
    double prefix_share, prefix_tokens, prefix_count, prefix_exponent;
    double units; /* arrivals' own clock: one unit is one mean gap */
    double now_s;
    uint64_t left;          /* requests still to come */
    TraceReader *trace;     /* NULL: drawn */
    const RateCurve *curve; /* NULL: the daily swing above */
    RateCursor cursor;
} ArrivalStream;

/* `count` requests at `rate_per_s` by the scenario's mix. */
ArrivalStream arrivals_drawn(const Scenario *scenario, double rate_per_s, uint64_t count,
                             unsigned long long seed);

/* Endless, of one of several sources on a curve of its own, with streams of its own. */
ArrivalStream arrivals_on_curve(const Scenario *scenario, double rate_per_s, const RateCurve *curve,
                                unsigned long long seed, unsigned long long source);

/* Rows of `trace` (which the caller closes), its times multiplied by `stretch`. */
ArrivalStream arrivals_replayed(TraceReader *trace, double stretch);

/* Lengths of the next request, drawn, without its time; `under_way`: of one met in the middle of
 * its answer, where long ones are met more often. */
void arrivals_lengths(ArrivalStream *stream, int under_way, double *prompt, double *output);

/* `more` is 0 behind the last one. */
Status arrivals_next(ArrivalStream *stream, Arrival *arrival, int *more, Error *error);

#endif

#include "sim/serving/load_run.h"

QueuedRequest load_queued(const Arrival *arrival, double at_s, int counts)
{
    return (QueuedRequest){.arrival_s = at_s,
                           .first_s = -1,
                           .prompt = (uint32_t)arrival->prompt,
                           .output = (uint32_t)arrival->output,
                           .prefix = arrival->prefix,
                           .tag = counts != 0};
}

Status load_open_stream(const LoadRun *run, double rate_per_s, double stretch, TraceReader **trace,
                        ArrivalStream *stream, Error *error)
{
    const LoadOptions *options = run->options;
    *trace = NULL;
    if (options->trace == NULL) {
        *stream = arrivals_drawn(run->scenario, rate_per_s, options->requests, options->seed);
        return STATUS_OK;
    }
    const Status status = trace_open(options->trace, options->skip_bad, trace, error);
    if (status == STATUS_OK)
        *stream = arrivals_replayed(*trace, stretch);
    if (status == STATUS_OK && serving_keeps_prefixes(&run->scenario->serving))
        trace_share(*trace, run->shared);
    return status;
}

/* What is drawn inside a unit has a seed for each of them. */
uint64_t load_unit_seed(const LoadRun *run, size_t index)
{
    RandomStream seeds = random_stream(run->options->seed, "unit", index);
    return random_u64(&seeds);
}

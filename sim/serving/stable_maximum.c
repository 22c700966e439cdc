/* The stable maximum: a line that is never empty. */
#include "sim/serving/load_run.h"

#include <math.h>

/* A line so long that its requests wait for hours is past any load; a trace is then given up. */
enum { SATURATED_REQUESTS = 2000, SATURATED_TURNS = 4, MOST_SATURATED = 200000 };

static void offer_next(LoadRun *run, double now_s)
{
    int more = 0;
    Arrival arrival;
    while (run->backlog_left > 0) {
        run->backlog_left--;
        run->status = arrivals_next(run->stream, &arrival, &more, &run->error);
        if (run->status != STATUS_OK || !more) {
            run->backlog_left = 0;
            return;
        }
        const QueuedRequest request = load_queued(&arrival, now_s, 0);
        run->status = unit_offer(run->saturated, &request, &run->error);
        if (run->status == STATUS_OK)
            return;
        if (run->status != STATUS_NO) {
            run->backlog_left = 0;
            return;
        }
        run->status = STATUS_OK; /* too long for any replica: the next one */
    }
}

static void on_saturated(void *context, const QueuedRequest *request, double now_s)
{
    LoadRun *run = context;
    (void)request;
    run->finished++;
    /* Requests of one length end together: the window holds whole waves of them. */
    if (run->finished <= run->begin_finished || now_s <= run->first_s) {
        run->first_s = now_s;
        run->first_finished = run->finished;
    }
    if (run->backlog_left > 0 || now_s <= run->last_s) {
        run->last_s = now_s;
        run->last_finished = run->finished;
    }
    offer_next(run, now_s);
}

/* Requests in flight at most: by the admission limit, and by memory at the mean length. */
static double most_in_flight(const LoadRun *run, const ServingUnit *unit)
{
    const ServingSpec *serving = &run->scenario->serving;
    double sum = 0;
    for (int side = 0; side < SERVING_SIDES; side++) {
        const SideUse use = unit_side(unit, (ServingSide)side);
        const ReplicaMemory *memory = &use.memory;
        const double length = run->options->trace != NULL
                                  ? memory->block_tokens
                                  : serving->prompt_tokens + serving->output_tokens;
        if (use.replicas > 0)
            sum += use.replicas *
                   fmin(memory->sequences, memory->blocks * memory->block_tokens / length + 1);
    }
    return sum;
}

/* Of one unit, or of `side` of it if the other took no time (SERVING_SIDES: of both as they are).
 */
Status load_stable_maximum(LoadRun *run, ServingSide side, double *per_s, Error *error)
{
    const LaneSink sink = {.finished = on_saturated, .context = run};
    TraceReader *trace = NULL;
    ArrivalStream stream;
    *per_s = 0;
    Status status = side == SERVING_SIDES
                        ? unit_create(run->scenario, &sink, 0, &run->saturated, error)
                        : unit_create_side(run->scenario, side, &sink, &run->saturated, error);
    if (status == STATUS_OK)
        status = load_open_stream(run, 1, 1, &trace, &stream, error);
    if (status != STATUS_OK)
        goto cleanup;
    unit_seed(run->saturated, load_unit_seed(run, 0));
    status = unit_share(run->saturated, run->shared, error);
    if (status != STATUS_OK)
        goto cleanup;

    const double in_flight = most_in_flight(run, run->saturated);
    const double backlog = fmin(MOST_SATURATED, SATURATED_REQUESTS + SATURATED_TURNS * in_flight);
    if (run->options->trace == NULL)
        stream.left = (uint64_t)backlog;
    run->stream = &stream;
    run->backlog_left = (uint64_t)backlog;
    run->begin_finished = fmin(in_flight, backlog / 4);
    run->finished = run->last_finished = run->first_finished = 0;
    run->first_s = run->last_s = 0;
    for (double i = 0; i < fmin(2 * in_flight, backlog / 2); i++)
        offer_next(run, 0);
    status = unit_advance(run->saturated, HUGE_VAL, error);
    if (status == STATUS_OK && run->status != STATUS_OK) {
        *error = run->error;
        status = run->status;
    }
    if (status == STATUS_OK && run->finished < 1)
        status = error_set(error, STATUS_NO, "no request of this mix fits in KV memory");
    if (status != STATUS_OK)
        goto cleanup;
    /* A trace too short to fill the replica twice: over its whole run. */
    *per_s = run->last_finished > run->first_finished && run->last_s > run->first_s
                 ? (run->last_finished - run->first_finished) / (run->last_s - run->first_s)
                 : run->finished / unit_now(run->saturated);
    *per_s *= (double)run->unit_count;
cleanup:
    trace_close(trace);
    unit_destroy(run->saturated);
    run->saturated = NULL;
    return status;
}

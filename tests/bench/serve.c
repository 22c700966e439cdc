/* How fast serving is simulated, in seconds of this process on one core: the Azure conversation
 * trace of November 2023 (19,366 requests, 4.09 M answer tokens) on one replica of a 70B model on
 * 8 H100, as recorded, and drawn requests at nine tenths of the stable maximum.
 *
 * Reference on a machine of this kind: splitwise-sim@8f99e7d, the same trace: 1,226 requests/s and
 * 259,000 answer tokens/s a core; Vidur@7d47513: 745 requests/s. */
#include "configs/reader/reader.h"
#include "sim/serving/trace_reader.h"
#include "sim/serving/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char SCENARIO_TEXT[] =
    "schema: 1\n"
    "title: bench\n"
    "kind: serving\n"
    "model: llama2-70b\n"
    "hardware: {base: h100-ndr, gpus: 8}\n"
    "serving:\n"
    "  base: engine-vllm-2025\n"
    "  tensor: 8\n"
    "  context_limit: 32768\n"
    "  prompt_tokens: 1155\n"
    "  output_tokens: 211\n"
    "  length_sigma: 0.8\n"
    "  utilisation: 90%\n"
    "prices: {gpu_hour: $2/h, energy: $0.08/kWh, pue: 1.1, co2: 0.373kg/kWh}\n";

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int failed(const char *what, const Error *error)
{
    fprintf(stderr, "%s: %s\n", what, error->message);
    return 1;
}

static void ignore(void *context, const QueuedRequest *request, double now_s)
{
    double *sums = context;
    (void)now_s;
    sums[0]++;
    sums[1] += request->output;
}

/* Finished requests and their answer tokens, in so many seconds. */
typedef struct Timing {
    double seconds, sums[2];
    ReplicaCounters counters;
} Timing;

static int compare_seconds(const void *a, const void *b)
{
    const double x = ((const Timing *)a)->seconds, y = ((const Timing *)b)->seconds;
    return (x > y) - (x < y);
}

/* Requests from memory, so that the simulator alone is timed. */
static int run_once(const Scenario *scenario, const TraceRow *rows, size_t count, double stretch,
                    const char *name, int step_by_step, Timing *timing)
{
    double *sums = timing->sums;
    const LaneSink sink = {.finished = ignore, .context = sums};
    Error error = {0};
    ServingUnit *unit = NULL;
    const double begin = seconds_now();
    if (unit_create(scenario, &sink, step_by_step, &unit, &error) != STATUS_OK)
        return failed(name, &error);
    for (size_t i = 0; i < count; i++) {
        const QueuedRequest request = {rows[i].at_s * stretch,
                                       -1,
                                       (uint32_t)rows[i].prompt,
                                       (uint32_t)rows[i].output,
                                       0,
                                       0,
                                       0};
        if (unit_advance(unit, request.arrival_s, &error) != STATUS_OK ||
            unit_offer(unit, &request, &error) != STATUS_OK)
            return failed(name, &error);
    }
    if (unit_advance(unit, 1e18, &error) != STATUS_OK)
        return failed(name, &error);
    timing->seconds = seconds_now() - begin;
    timing->counters = unit_counters(unit);
    unit_destroy(unit);
    return 0;
}

/* Some hundredths of a second each: the median of ROUNDS, and the best. */
static int run(const Scenario *scenario, const TraceRow *rows, size_t count, double stretch,
               const char *name, int step_by_step)
{
    enum { ROUNDS = 9 };
    Timing timings[ROUNDS] = {0};
    for (size_t i = 0; i < ROUNDS; i++)
        if (run_once(scenario, rows, count, stretch, name, step_by_step, &timings[i]) != 0)
            return 1;
    qsort(timings, ROUNDS, sizeof *timings, compare_seconds);
    const Timing *median = &timings[ROUNDS / 2];
    printf("%-36s %7.0f requests/s (best %7.0f) %6.1f M answer tokens/s  (%.0f iterations, %.1f "
           "decoding)\n",
           name, median->sums[0] / median->seconds, timings[0].sums[0] / timings[0].seconds,
           median->sums[1] / median->seconds / 1e6, median->counters.iterations,
           median->counters.sequence_iterations / median->counters.iterations);
    return 0;
}

int main(void)
{
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scenario = calloc(1, sizeof *scenario);
    enum { MOST_ROWS = 20000 };
    TraceRow *rows = calloc(MOST_ROWS, sizeof *rows);
    TraceReader *trace = NULL;
    char path[2 * ERROR_PATH_BYTES];
    size_t count = 0;
    if (errors == NULL || scenario == NULL || rows == NULL)
        return 1;
    if (config_paths_find(NULL, &paths, &error) != STATUS_OK)
        return failed("configs", &error);
    if (scenario_read_text(&paths, "bench", SCENARIO_TEXT, strlen(SCENARIO_TEXT), NULL, 0, scenario,
                           NULL, NULL, errors) != STATUS_OK)
        return failed("scenario", &errors->errors[0]);
    snprintf(path, sizeof path, "%s/measurements/azure_conversation_2023.csv", paths.root);
    double begin = seconds_now();
    if (trace_open(path, 0, &trace, &error) != STATUS_OK)
        return failed("trace", &error);
    for (int more = 1; more && count < MOST_ROWS;) {
        if (trace_next(trace, &rows[count], &more, &error) != STATUS_OK)
            return failed("trace", &error);
        count += more != 0;
    }
    trace_close(trace);
    printf("%-44s %8.0f rows/s\n", "reading the trace", (double)count / (seconds_now() - begin));
    if (run(scenario, rows, count, 1, "Azure conversation, as recorded", 0) != 0 ||
        run(scenario, rows, count, 0.5, "the same at twice the rate", 0) != 0 ||
        run(scenario, rows, count, 1, "as recorded, iteration by iteration", 1) != 0)
        return 1;
    scenario->serving.speculation = (SpeculationSpec){.length = 4, .acceptance = 0.7};
    if (run(scenario, rows, count, 1, "as recorded, 4 drafts a round", 0) != 0 ||
        run(scenario, rows, count, 0.5, "the same at twice the rate", 0) != 0)
        return 1;
    free(rows);
    free(scenario);
    free(errors);
    return 0;
}

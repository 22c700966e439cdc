/* Traces, objectives, and serving under a load from end to end. */
#include "tests/unit/shipped.h"

#include "sim/serving/arrivals.h"
#include "sim/serving/latency_histogram.h"
#include "sim/serving/serve_load.h"
#include "tests/unit/serving_scenario.h"

#include <math.h>
#include <unistd.h>

static void write_trace(const char *text, char *path)
{
    strcpy(path, "/tmp/flopcast-trace-XXXXXX");
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
}

/* Reads a trace to its end or first error; returns the status. */
static Status read_all(const char *text, int skip_bad, TraceRow *last, size_t *rows,
                       uint64_t *skipped, Error *error)
{
    char path[64];
    TraceReader *trace = NULL;
    int more = 1;
    *rows = 0;
    write_trace(text, path);
    Status status = trace_open(path, skip_bad, &trace, error);
    while (status == STATUS_OK && more) {
        TraceRow row;
        status = trace_next(trace, &row, &more, error);
        if (status == STATUS_OK && more) {
            *last = row;
            ++*rows;
        }
    }
    *skipped = trace != NULL ? trace_rows_skipped(trace) : 0;
    trace_close(trace);
    unlink(path);
    return status;
}

static void traces_of_each_dialect_are_read(void **state)
{
    TraceRow last;
    size_t rows;
    uint64_t skipped;
    Error error = {0};
    (void)state;
    assert_int_equal(read_all("TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                              "2023-11-16 23:59:59.5000000,374,44\r\n"
                              "2023-11-17 00:00:01.2500000,396,109\r\n",
                              0, &last, &rows, &skipped, &error),
                     STATUS_OK);
    assert_int_equal(rows, 2);
    assert_near(last.at_s, 1.75, 1e-6);
    assert_near(last.prompt, 396, 0);
    assert_near(last.output, 109, 0);
    assert_int_equal(read_all("timestamp_ms,input_length,output_length,hash_ids\n"
                              "1000,6758,500,\"0 1, 2\"\n\n2500,7322,0,3\n",
                              0, &last, &rows, &skipped, &error),
                     STATUS_OK);
    assert_int_equal(rows, 2);
    assert_near(last.at_s, 1.5, 1e-12);
    assert_near(last.output, 1, 0); /* an empty answer takes a pass */
}

static void bad_rows_name_their_line(void **state)
{
    static const char *const BAD[] = {"-1,5,5",   "nan,5,5", "1,-5,5",  "1,5,1e12", "1,5",
                                      "0.25,5,5", "1,x,5",   "inf,5,5", "1,5,nan"};
    TraceRow last;
    size_t rows;
    uint64_t skipped;
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char text[256];
        Error error = {0};
        snprintf(text, sizeof text, "arrival_s,input_tokens,output_tokens\n0.5,3,4\n%s\n2,3,4\n",
                 BAD[i]);
        assert_int_equal(read_all(text, 0, &last, &rows, &skipped, &error), STATUS_INVALID);
        assert_int_equal(error.line, 3);
        assert_true(error.column >= 1);
        assert_int_equal(read_all(text, 1, &last, &rows, &skipped, &error), STATUS_OK);
        assert_int_equal(rows, 2);
        assert_int_equal(skipped, 1);
    }
    Error error = {0};
    assert_int_equal(
        read_all("arrival_s,input_tokens,outputs\n1,2,3\n", 0, &last, &rows, &skipped, &error),
        STATUS_INVALID);
    assert_non_null(strstr(error.message, "answer length"));
}

static void objectives_are_parsed(void **state)
{
    static const char *const WRONG[] = {"ttft",     "ttft<",       "ttft<2",  "tttf<2s",
                                        "ttft<0s",  "ttft.p42<1s", "",        "ttft<-1s",
                                        "ttft<2s,", "<2s",         "e2e<1GB", "ttft>2s"};
    Slo slo;
    Error error = {0};
    (void)state;
    assert_int_equal(slo_parse("ttft<2s,tpot.p90<33ms,e2e.mean<1min", &slo, &error), STATUS_OK);
    assert_int_equal(slo.count, 3);
    assert_int_equal(slo.limits[0].kind, LATENCY_TTFT);
    assert_int_equal(slo.limits[0].statistic, LATENCY_P99);
    assert_near(slo.limits[1].limit_s, 0.033, 1e-12);
    assert_int_equal(slo.limits[1].statistic, LATENCY_P90);
    assert_int_equal(slo.limits[2].statistic, LATENCY_MEAN);
    assert_near(slo.limits[2].limit_s, 60, 1e-9);
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        assert_int_equal(slo_parse(WRONG[i], &slo, &error), STATUS_USAGE);
}

/* Quantiles of an exponential: -ln(1 - q). */
static void histograms_find_quantiles(void **state)
{
    LatencyHistogram *histogram = calloc(1, sizeof *histogram);
    RandomStream stream = random_stream(3, "histogram", 0);
    (void)state;
    assert_non_null(histogram);
    for (size_t i = 0; i < 400000; i++)
        histogram_add(histogram, random_exponential(&stream));
    assert_near(histogram_mean(histogram), 1, 4 / sqrt(400000.0));
    assert_near(histogram_quantile(histogram, 0.5), log(2), 0.01);
    assert_near(histogram_quantile(histogram, 0.99), log(100), 0.06);
    assert_near(histogram_quantile(histogram, 1), histogram->most_s, 0);
    free(histogram);
}

/* Mean and spread of drawn gaps: rate, and the coefficient of variation that was asked for. */
static void arrivals_have_their_rate_and_burstiness(void **state)
{
    static const struct {
        ArrivalProcess process;
        double cv, expected_cv, swing;
    } CASES[] = {{ARRIVALS_POISSON, 1, 1, 0},
                 {ARRIVALS_GAMMA, 3, 3, 0},
                 {ARRIVALS_EVEN, 1, 0, 0},
                 {ARRIVALS_POISSON, 1, -1, 0.8}};
    enum { REQUESTS = 200000 };
    Scenario *scenario = malloc(sizeof *scenario);
    (void)state;
    assert_non_null(scenario);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        serving_scenario(scenario);
        scenario->serving.arrivals = CASES[i].process;
        scenario->serving.arrival_cv = CASES[i].cv;
        scenario->serving.diurnal_swing = CASES[i].swing;
        /* Two days' worth. */
        const double rate = REQUESTS / (2 * 86400.0);
        ArrivalStream stream = arrivals_drawn(scenario, rate, REQUESTS, 9);
        double last = 0, sum = 0, square = 0, by_noon = 0, prompts = 0;
        for (int more = 1; more;) {
            Arrival arrival;
            assert_int_equal(arrivals_next(&stream, &arrival, &more, NULL), STATUS_OK);
            if (!more)
                break;
            const double gap = arrival.at_s - last;
            assert_true(gap >= 0);
            last = arrival.at_s;
            sum += gap;
            square += gap * gap;
            by_noon += fmod(arrival.at_s, 86400) < 43200;
            prompts += arrival.prompt;
        }
        const double mean = sum / REQUESTS;
        const double cv = sqrt(fmax(0, square / REQUESTS / (mean * mean) - 1));
        assert_near(mean * rate, 1, 4 * fmax(1, CASES[i].cv) / sqrt(REQUESTS));
        if (CASES[i].expected_cv >= 0)
            assert_near(cv, CASES[i].expected_cv, 0.02 * (1 + 2 * CASES[i].expected_cv));
        else /* half a sine above the mean: 1/2 + swing / pi of a day's requests by noon */
            assert_near(by_noon / REQUESTS, 0.5 + CASES[i].swing / 3.14159265, 0.01);
        assert_near(prompts / REQUESTS / scenario->serving.prompt_tokens, 1, 0.02);
    }
    free(scenario);
}

static void run_load(const Scenario *scenario, const LoadOptions *options, LoadForecast *forecast)
{
    Error error = {0};
    if (serve_load(scenario, options, forecast, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

/* A load above the stable maximum ends and says so; below it throughput follows the load; the
 * largest rate holds and a little more does not. */
static void loads_are_judged(void **state)
{
    Scenario *scenario = malloc(sizeof *scenario);
    LoadForecast *forecast = calloc(2, sizeof *forecast);
    LoadOptions options = {.requests = 4000, .seed = 1};
    (void)state;
    assert_non_null(scenario);
    assert_non_null(forecast);
    serving_scenario(scenario);
    scenario->model.layers = 32;
    scenario->model.experts = 1;
    scenario->serving.tensor = 8;
    scenario->serving.pipeline = 1;
    scenario->serving.max_batch = 64;
    scenario->serving.kv_block_tokens = 16;
    scenario->serving.arrival_cv = 1;

    options.rate_per_s = 1e6;
    run_load(scenario, &options, forecast);
    assert_false(forecast->point.stable);
    assert_false(forecast->point.holds);
    const double most = forecast->stable_maximum_per_s;
    assert_true(most > 0);

    options.rate_per_s = 0.5 * most;
    run_load(scenario, &options, forecast);
    assert_true(forecast->point.stable);
    assert_near(forecast->point.requests_per_s / options.rate_per_s, 1, 0.06);
    assert_near(forecast->point.finished, 4000, 0);
    assert_true(forecast->point.latency_s[LATENCY_TTFT][LATENCY_P50] <=
                forecast->point.latency_s[LATENCY_TTFT][LATENCY_P99]);
    run_load(scenario, &options, forecast + 1);
    assert_memory_equal(forecast, forecast + 1, sizeof *forecast);

    /* One more replica at twice the load: twice the throughput. */
    scenario->serving.replicas = 2;
    options.rate_per_s = most;
    run_load(scenario, &options, forecast);
    assert_near(forecast->stable_maximum_per_s / most, 2, 1e-9);
    assert_near(forecast->point.requests_per_s / most, 1, 0.06);
    scenario->serving.replicas = 1;

    const double limit_s = 1.2 * forecast->point.latency_s[LATENCY_TPOT][LATENCY_P99];
    options.rate_per_s = 0;
    options.find_rate = 1;
    options.slo = (Slo){1, {{LATENCY_TPOT, LATENCY_P99, limit_s}}};
    run_load(scenario, &options, forecast);
    assert_true(forecast->found);
    assert_true(forecast->point.holds);
    assert_true(forecast->point.latency_s[LATENCY_TPOT][LATENCY_P99] < limit_s);
    const double best = forecast->point.rate_per_s;
    assert_true(best > 0.3 * most && best < most);
    options.find_rate = 0;
    options.rate_per_s = 1.15 * best;
    run_load(scenario, &options, forecast);
    assert_false(forecast->point.holds);
    free(forecast);
    free(scenario);
}

static void remember_end(void *context, const QueuedRequest *request, double now_s)
{
    (void)request;
    *(double *)context = now_s;
}

/* Requests of one length whose prompts are read at once begin and end together: what can be served
 * is a batch in the time of a batch. */
static void equal_lengths_come_in_waves(void **state)
{
    const double batch = 64;
    Scenario *scenario = malloc(sizeof *scenario);
    LoadForecast *forecast = calloc(1, sizeof *forecast);
    const LoadOptions options = {.seed = 1};
    double wave_s = 0;
    const LaneSink sink = {.finished = remember_end, .context = &wave_s};
    Replica *replica = NULL;
    Error error = {0};
    (void)state;
    assert_non_null(scenario);
    assert_non_null(forecast);
    small_serving_scenario(scenario);
    scenario->serving.prompt_tokens = 128;
    scenario->serving.output_tokens = 100;
    scenario->serving.length_sigma = 0;
    scenario->serving.max_batch = batch;
    scenario->serving.kv_block_tokens = 16;
    scenario->serving.iteration_tokens = 0;
    scenario->serving.prefill_chunk_tokens = 1e6;

    assert_int_equal(replica_create(scenario, &sink, 0, &replica, &error), STATUS_OK);
    for (double i = 0; i < batch; i++) {
        const QueuedRequest request = {.first_s = -1, .prompt = 128, .output = 100};
        assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
    }
    assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
    replica_destroy(replica);
    run_load(scenario, &options, forecast);
    assert_near(forecast->stable_maximum_per_s * wave_s / batch, 1, 1e-9);
    free(forecast);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_of_each_dialect_are_read),
        cmocka_unit_test(bad_rows_name_their_line),
        cmocka_unit_test(objectives_are_parsed),
        cmocka_unit_test(histograms_find_quantiles),
        cmocka_unit_test(arrivals_have_their_rate_and_burstiness),
        cmocka_unit_test(loads_are_judged),
        cmocka_unit_test(equal_lengths_come_in_waves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a load has in memory and in line over time: exact integrals in a bounded number of parts. */
#include "tests/unit/shipped.h"

#include "sim/serving/occupancy.h"
#include "sim/serving/serve_load.h"
#include "tests/unit/serving_scenario.h"

#include <math.h>
#include <unistd.h>

/* Sum of a value over the whole time, from the means. */
static OccupancyPart total(const OccupancySeries *series)
{
    OccupancyPart sum = {0};
    for (size_t i = 0; i < occupancy_count(series); i++) {
        const OccupancyPart mean = occupancy_mean(series, i);
        const double seconds = fmin(series->part_s, series->end_s - (double)i * series->part_s);
        sum.kv_blocks += seconds * mean.kv_blocks;
        sum.running += seconds * mean.running;
        sum.waiting += seconds * mean.waiting;
    }
    return sum;
}

static void parts_are_exact(void **state)
{
    (void)state;
    OccupancySeries series = {0};
    assert_int_equal(occupancy_count(&series), 0);
    const OccupancyPart one = {1, 10, 100}, two = {2, 20, 200};
    /* 0.25 s at one, then 0.25 s at two, in parts of 1/512 s. */
    occupancy_add(&series, 0, 0.25, &one);
    occupancy_add(&series, 0.25, 0.5, &two);
    assert_near(series.part_s, 1.0 / 512, 0);
    assert_int_equal(occupancy_count(&series), 256);
    for (size_t i = 0; i < 256; i++)
        assert_near(occupancy_mean(&series, i).running, i < 128 ? 10 : 20, 1e-9);
    /* No time, times that go back, and times that are none change nothing. */
    const OccupancySeries before = series;
    occupancy_add(&series, 0.3, 0.3, &one);
    occupancy_add(&series, 0.4, 0.2, &one);
    occupancy_add(&series, 0.4, HUGE_VAL, &one);
    occupancy_add(&series, nan(""), 0.5, &one);
    assert_memory_equal(&series, &before, sizeof series);
    /* A part that a change falls into has the mean of both; the last is as long as it is. */
    series = (OccupancySeries){0};
    occupancy_add(&series, 0, 0.1, &one);
    occupancy_add(&series, 0.1, 0.2, &two);
    assert_near(total(&series).waiting, 30, 1e-12);
    const size_t last = occupancy_count(&series) - 1;
    assert_near(occupancy_mean(&series, last).kv_blocks, 2, 1e-9);
}

/* However long it is; the total is kept whatever was joined, and writers add up. */
static void any_length_is_bounded(void **state)
{
    (void)state;
    for (double seconds = 1; seconds < 1e10; seconds *= 7) {
        OccupancySeries series = {0};
        double expected = 0;
        for (int i = 0; i < 1000; i++) {
            const OccupancyPart now = {i % 7, i % 11, i % 13};
            occupancy_add(&series, seconds * i / 1000, seconds * (i + 1) / 1000, &now);
            occupancy_add(&series, seconds * i / 1000, seconds * (i + 1) / 1000, &now);
            expected += 2 * (i % 13) * seconds / 1000;
        }
        assert_true(occupancy_count(&series) > OCCUPANCY_PARTS / 2);
        assert_true(occupancy_count(&series) <= OCCUPANCY_PARTS);
        assert_near(total(&series).waiting, expected, 1e-9 * expected);
        assert_near(series.end_s, seconds, 1e-9 * seconds);
    }
}

static void small_scenario(Scenario *scenario, double pipeline)
{
    serving_scenario(scenario);
    scenario->model.layers = 32;
    scenario->model.experts = 1;
    scenario->serving.tensor = 8;
    scenario->serving.pipeline = pipeline;
    scenario->serving.max_batch = 16;
    scenario->serving.kv_block_tokens = 16;
    scenario->serving.arrival_cv = 1;
    scenario->serving.request_overhead_s = 0;
    scenario->serving.replicas = 2;
}

static void write_trace(char *path, size_t requests, double gap_s)
{
    strcpy(path, "/tmp/flopcast-trace-XXXXXX");
    FILE *out = fdopen(mkstemp(path), "w");
    assert_non_null(out);
    fputs("arrival_s,input_tokens,output_tokens\n", out);
    for (size_t i = 0; i < requests; i++)
        fprintf(out, "%.6f,%zu,%zu\n", gap_s * (double)i, 50 + i * 37 % 400, 1 + i * 91 % 300);
    fclose(out);
}

/* Little's law, to the last request: the time that requests spend waiting and running is the sum
 * of their latencies. Blocks in use are those of the mean that a load tells. */
static void requests_are_all_there(void **state)
{
    (void)state;
    Scenario *scenario = malloc(sizeof *scenario);
    LoadForecast *forecast = malloc(sizeof *forecast);
    assert_non_null(scenario);
    assert_non_null(forecast);
    const double stages[] = {1, 4}, gaps_s[] = {2, 0.02};
    for (size_t s = 0; s < 2; s++)
        for (size_t g = 0; g < 2; g++) {
            char path[64];
            Error error = {0};
            small_scenario(scenario, stages[s]);
            write_trace(path, 400, gaps_s[g]);
            const LoadOptions options = {.trace = path, .seed = 1, .over_time = 1};
            if (serve_load(scenario, &options, forecast, &error) != STATUS_OK)
                fail_msg("%s", error.message);
            unlink(path);
            const OccupancyPart sum = total(&forecast->over_time[SIDE_DECODE]);
            const LoadPoint *point = &forecast->point;
            const double latencies_s = 400 * point->latency_s[LATENCY_E2E][LATENCY_MEAN];
            assert_near(point->finished, 400, 0);
            assert_near(sum.running + sum.waiting, latencies_s, 1e-6 * latencies_s);
            assert_true(g == 0 ? sum.waiting < 0.2 * sum.running : sum.waiting > 0);
            assert_true(sum.kv_blocks > 0);
            if (stages[s] > 1)
                continue; /* schedulers of a pipeline wait for their turn with their blocks */
            const double end_s = forecast->over_time[SIDE_DECODE].end_s;
            const double mean = sum.kv_blocks / (end_s * 2 * forecast->memory.blocks);
            assert_near(mean, point->kv_occupancy, 0.02 * point->kv_occupancy);
        }
    /* Nobody asked: nothing is collected. */
    const LoadOptions plain = {.requests = 100, .seed = 1, .rate_per_s = 1};
    Error error = {0};
    assert_int_equal(serve_load(scenario, &plain, forecast, &error), STATUS_OK);
    assert_int_equal(occupancy_count(&forecast->over_time[SIDE_DECODE]), 0);
    free(forecast);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_exact),
        cmocka_unit_test(any_length_is_bounded),
        cmocka_unit_test(requests_are_all_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

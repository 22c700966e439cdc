/* Properties of serving over random scenarios. Seeds are fixed and printed with a failure. */
#include "sim/engine/random.h"
#include "sim/serving/closed_load.h"
#include "tests/unit/serving_scenario.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CASES = 25, SEED = 20231116 };

static double between(RandomStream *stream, double low, double high)
{
    return low + (high - low) * random_uniform(stream);
}

/* A scenario of moderate size; lengths fixed when `fixed`. */
static void draw_scenario(RandomStream *stream, int fixed, Scenario *scenario)
{
    static const double stages[] = {1, 2, 5, 8, 15, 16};
    ServingSpec *serving = &scenario->serving;

    serving_scenario(scenario);
    serving->pipeline = stages[(size_t)between(stream, 0, 6)];
    scenario->model.layers = floor(between(stream, serving->pipeline, 7 * serving->pipeline));
    serving->prompt_tokens = floor(between(stream, 2, 3000));
    serving->output_tokens = floor(between(stream, 2, 400));
    serving->length_sigma = fixed ? 0 : between(stream, 0, 1.2);
    serving->max_batch = floor(exp(between(stream, 0, 7)));
    serving->prefill_chunk_tokens = floor(exp(between(stream, 4, 9)));
    serving->kv_sharding = random_uniform(stream) < 0.5 ? KV_REPLICATED : KV_BY_BATCH;
    serving->utilisation = between(stream, 0.1, 1);
}

static void run(const Scenario *scenario, unsigned long long seed, ServeOutcome *outcome)
{
    Error error;
    const Status status = serve_simulate(scenario, seed, 0, outcome, &error);
    if (status != STATUS_OK)
        fail_msg("seed %d: %s", SEED, error.message);
}

static void check(int holds, size_t which, const char *what, double a, double b)
{
    if (!holds)
        fail_msg("seed %d case %zu: %s: %.12g against %.12g", SEED, which, what, a, b);
}

static void test_money_balances(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome, dearer;

    for (size_t i = 0; i < CASES; i++) {
        RandomStream stream = random_stream(SEED, "balance", i);
        draw_scenario(&stream, 0, &scenario);
        run(&scenario, i, &outcome);
        check(outcome.batch <= scenario.serving.max_batch, i, "batch", outcome.batch,
              scenario.serving.max_batch);
        check(outcome.mfu > 0 && outcome.mfu < 1, i, "mfu", outcome.mfu, 1);
        check(outcome.mbu > 0 && outcome.mbu < 1, i, "mbu", outcome.mbu, 1);
        check(outcome.usd_per_1k_tokens > outcome.floor_usd_per_1k_at_peak, i, "price above floor",
              outcome.usd_per_1k_tokens, outcome.floor_usd_per_1k_at_peak);
        for (size_t p = 1; p < 3; p++)
            check(outcome.e2e_s[p] >= outcome.e2e_s[p - 1] &&
                      outcome.ttft_s[p] >= outcome.ttft_s[p - 1] &&
                      outcome.tpot_s[p] >= outcome.tpot_s[p - 1],
                  i, "percentiles", outcome.e2e_s[p - 1], outcome.e2e_s[p]);

        scenario.prices.gpu_hour_usd *= 2;
        run(&scenario, i, &dearer);
        check(fabs(dearer.usd_per_1k_tokens - 2 * outcome.usd_per_1k_tokens) <=
                  1e-12 * dearer.usd_per_1k_tokens,
              i, "price is proportional", dearer.usd_per_1k_tokens, outcome.usd_per_1k_tokens);
    }
}

/* Little's law ties three things that are counted apart: sequences in flight, requests a second and
 * seconds a request. */
static void test_littles_law(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;

    for (size_t i = 0; i < CASES; i++) {
        RandomStream stream = random_stream(SEED, "little", i);
        draw_scenario(&stream, 1, &scenario);
        /* Enough requests for a tight law. */
        scenario.serving.max_batch = fmax(scenario.serving.max_batch, 100);
        run(&scenario, i, &outcome);
        const double by_law =
            outcome.output_tokens_per_s / scenario.serving.output_tokens * outcome.e2e_s[0];
        check(fabs(by_law - outcome.batch) <= 0.1 * outcome.batch, i, "batch = rate x time", by_law,
              outcome.batch);
    }
}

static void test_more_batch_and_bandwidth_never_hurt_decoding(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;

    for (size_t i = 0; i < CASES; i++) {
        RandomStream stream = random_stream(SEED, "monotone", i);
        draw_scenario(&stream, 1, &scenario);
        scenario.serving.prefill_chunk_tokens = 0;
        const double stages = scenario.serving.pipeline;
        double before = 0;
        for (double each = 1; each <= 256; each *= 4) {
            scenario.serving.max_batch = each * stages;
            run(&scenario, i, &outcome);
            check(outcome.output_tokens_per_s > before, i, "more with a larger batch",
                  outcome.output_tokens_per_s, before);
            before = outcome.output_tokens_per_s;
        }
        scenario.hardware.gpu.memory_bytes_per_s *= 1.5;
        run(&scenario, i, &outcome);
        check(outcome.output_tokens_per_s > before, i, "more with more bandwidth",
              outcome.output_tokens_per_s, before);
        check(outcome.output_tokens_per_s < 1.5 * before, i, "no more than that",
              outcome.output_tokens_per_s, 1.5 * before);
    }
}

static void test_memory_only_grows_capacity(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory memory;

    for (size_t i = 0; i < CASES; i++) {
        RandomStream stream = random_stream(SEED, "memory", i);
        draw_scenario(&stream, 0, &scenario);
        double before = -1;
        for (double gigabytes = 8; gigabytes <= 256; gigabytes *= 2) {
            scenario.hardware.gpu.memory_bytes = gigabytes * 1e9;
            serve_memory(&scenario, &memory);
            check(memory.kv_capacity_tokens >= before, i, "capacity", memory.kv_capacity_tokens,
                  before);
            check(memory.fits == (memory.max_sequences >= 1), i, "fits", memory.max_sequences, 1);
            check((memory.reason[0] == '\0') == memory.fits, i, "a reason if and only if not",
                  memory.fits, 0);
            before = memory.kv_capacity_tokens;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_money_balances),
        cmocka_unit_test(test_littles_law),
        cmocka_unit_test(test_more_batch_and_bandwidth_never_hurt_decoding),
        cmocka_unit_test(test_memory_only_grows_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

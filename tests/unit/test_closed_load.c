/* A replica whose batch is kept full, against values worked out by hand; how it is met in the
 * middle of its work, and used again. */
#include "sim/serving/closed_load.h"
#include "sim/serving/serve_load.h"
#include "tests/unit/serving_scenario.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g is not within %g of %.17g", value, relative, expected);
}

static Status simulate(const Scenario *scenario, ServeOutcome *outcome, Error *error)
{
    return serve_simulate(scenario, 7, 0, outcome, error);
}

/* Stage times that do not depend on contexts and stages that are all equal: eight layers on each of
 * 15 stages; no head to speak of; KV read in no time. */
static void make_uniform(Scenario *scenario)
{
    serving_scenario(scenario);
    scenario->serving.pipeline = 15;
    scenario->model.vocab_size = 8;
    scenario->hardware.gpu.decode_memory_efficiency = 1e30;
    scenario->serving.length_sigma = 0;
    scenario->serving.prefill_chunk_tokens = 0;
    scenario->serving.max_batch = 15 * 64;
}

/* ---- a replica in the middle of its work -------------------------------------------------------
 */

typedef struct Tokens {
    double finished, output, prompt;
} Tokens;

static void add_tokens(void *context, const QueuedRequest *request, double now_s)
{
    Tokens *sum = context;
    (void)now_s;
    sum->finished++;
    sum->output += request->output;
    sum->prompt += request->prompt;
}

/* Half the places with requests in the middle of their answers, and as many in the line. Returns
 * the answer tokens that lie behind them. */
static double put_to_work(Replica *replica, int remote, Tokens *asked)
{
    Error error;
    double behind = 0;
    const size_t lanes = replica_lane_count(replica);
    for (size_t i = 0; i < (size_t)replica_memory(replica)->sequences; i++) {
        QueuedRequest request = {.first_s = -1,
                                 .prompt = (uint32_t)(100 + 37 * i % 900),
                                 .output = (uint32_t)(2 + 53 * i % 300)};
        asked->finished++;
        asked->output += request.output;
        asked->prompt += request.prompt;
        if (i % 2 == 0) {
            request.given = 1 + request.output / 3;
            request.first_s = 0;
            behind += request.given;
            replica_resume(replica, i / 2 % lanes, &request);
            continue;
        }
        request.given = remote ? 1 : 0;
        behind += request.given;
        assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
    }
    return behind;
}

/* Tokens that the replica counts are those of its requests, less what lay behind them. */
static void test_no_token_is_lost(void **state)
{
    static const double CHUNKS[] = {0, 100, 512, 4096}, BATCHES[] = {1, 5, 300, 4096};
    static const double STAGES[] = {1, 16};
    Scenario scenario;
    Error error;
    (void)state;
    for (size_t i = 0; i < 64; i++) {
        Tokens asked = {0}, done = {0};
        const LaneSink sink = {.finished = add_tokens, .context = &done};
        Replica *replica = NULL;
        serving_scenario(&scenario);
        scenario.serving.prefill_chunk_tokens = CHUNKS[i % 4];
        scenario.serving.max_batch = BATCHES[i / 4 % 4];
        scenario.serving.pipeline = STAGES[i / 16 % 2];
        if (i >= 32)
            scenario.serving.speculation =
                (SpeculationSpec){.length = 3, .acceptance = 0.6, .draft_share = 0.05};
        scenario.model.layers = 7 * scenario.serving.pipeline + 1;
        if (replica_create(&scenario, &sink, 0, &replica, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        /* As many sequences as asked for, over all lanes; no lane without a place. */
        assert_true(replica_memory(replica)->sequences == BATCHES[i / 4 % 4]);
        assert_int_equal(replica_lane_count(replica),
                         fmin(scenario.serving.pipeline, scenario.serving.max_batch));
        const int remote = CHUNKS[i % 4] < 1;
        const double behind = put_to_work(replica, remote, &asked);
        assert_int_equal(replica_iterate(replica, 1, &error), STATUS_OK);
        assert_true(replica_counters(replica).iterations == 1);
        assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
        assert_int_equal(replica_iterate(replica, 1, &error), STATUS_NO);
        const ReplicaCounters counters = replica_counters(replica);
        assert_true(done.finished == asked.finished && done.output == asked.output);
        assert_true(counters.preempted == 0);
        assert_true(counters.output_tokens == asked.output - behind);
        /* Prompts of the line alone are read: every other one. */
        double read = 0;
        for (size_t k = 1; k < (size_t)asked.finished && !remote; k += 2)
            read += (double)(100 + 37 * k % 900);
        assert_true(counters.input_tokens == read);
        assert_true(replica_blocks_used(replica) == 0);
        replica_destroy(replica);
    }
}

static void run_it(Replica *replica, int remote, ReplicaCounters *counters)
{
    Error error;
    Tokens asked = {0};
    put_to_work(replica, remote, &asked);
    assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
    *counters = replica_counters(replica);
}

/* Used again, after another scenario of more lanes or fewer, other places and another model, a
 * replica works as a new one does, bit for bit. */
static void test_a_renewed_replica_is_as_new(void **state)
{
    Scenario first, second;
    Error error;
    ReplicaCounters fresh[2], again[2];
    Tokens done = {0};
    const LaneSink sink = {.finished = add_tokens, .context = &done};
    (void)state;
    serving_scenario(&first);
    first.serving.max_batch = 300;
    small_serving_scenario(&second);
    const Scenario *scenarios[] = {&first, &second};
    for (size_t i = 0; i < 2; i++) {
        Replica *replica = NULL;
        assert_int_equal(replica_create(scenarios[i], &sink, 0, &replica, &error), STATUS_OK);
        run_it(replica, 0, &fresh[i]);
        replica_destroy(replica);
    }
    Replica *kept = NULL;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(replica_renew(scenarios[i % 2], &sink, 0, &kept, &error), STATUS_OK);
        run_it(kept, 0, &again[i % 2]);
        assert_memory_equal(&again[i % 2], &fresh[i % 2], sizeof fresh[0]);
    }
    first.serving.pipeline = 4; /* its weights do not fit */
    assert_int_equal(replica_renew(&first, &sink, 0, &kept, &error), STATUS_NO);
    assert_null(kept);
}

/* Memory for two sequences of full length, sixteen stages: two batches circulate. */
static void test_lanes_hold_a_whole_sequence(void **state)
{
    Scenario scenario;
    Error error;
    Tokens done = {0};
    Replica *replica = NULL;
    const LaneSink sink = {.finished = add_tokens, .context = &done};
    ServeMemory memory;
    (void)state;
    serving_scenario(&scenario);
    serve_memory(&scenario, &memory);
    scenario.serving.reserved_bytes = 76e9 - memory.weights_bytes - 2.5 * 8192 * 4096;
    serve_memory(&scenario, &memory);
    assert_true(memory.max_sequences == 2);
    assert_int_equal(replica_create(&scenario, &sink, 0, &replica, &error), STATUS_OK);
    assert_int_equal(replica_lane_count(replica), 2);
    const QueuedRequest whole = {.first_s = -1, .prompt = 8000, .output = 192};
    assert_int_equal(replica_can_hold(replica, &whole, &error), STATUS_OK);
    replica_destroy(replica);
}

/* What is served with the batch kept full is what is served when the line is never empty: places
 * short, memory short, whole answers reserved or not, with a pipeline and without, with drafts,
 * answers or prompts first. */
static void test_capacity_is_the_stable_maximum(void **state)
{
    Error error;
    Scenario *scenario = malloc(sizeof *scenario);
    LoadForecast *load = malloc(sizeof *load);
    const LoadOptions options = {.seed = 7};
    (void)state;
    assert_non_null(scenario);
    assert_non_null(load);
    for (size_t i = 0; i < 24; i++) {
        ServeOutcome outcome;
        double sum = 0;
        enum { DRAWS = 8 };
        small_serving_scenario(scenario);
        scenario->serving.length_sigma = 0.3;
        scenario->serving.iteration_tokens = i % 2 ? 0 : 2048;
        scenario->serving.kv_admission = i / 2 % 2 ? ADMIT_WHOLE : ADMIT_PROMPT;
        scenario->serving.batching = i >= 12 ? BATCH_PREFILL_FIRST : BATCH_DECODE_FIRST;
        if (i % 12 >= 8)
            scenario->serving.speculation =
                (SpeculationSpec){.length = 3, .acceptance = 0.7, .draft_share = 0.05};
        if (i % 12 / 4 == 1) /* some 20,000 tokens; else 256 places */
            scenario->hardware.gpu.memory_bytes = 30e9;
        scenario->serving.pipeline = i % 2 ? 2 : 1;
        for (size_t k = 0; k < DRAWS; k++) {
            assert_int_equal(serve_simulate(scenario, 7, k, &outcome, &error), STATUS_OK);
            sum += outcome.output_tokens_per_s / DRAWS;
        }
        assert_int_equal(serve_load(scenario, &options, load, &error), STATUS_OK);
        print_message("  case %zu: %.2f requests/s, stable maximum %.2f\n", i, sum / 211,
                      load->stable_maximum_per_s);
        assert_near(sum / 211, load->stable_maximum_per_s, 0.03);
    }
    free(load);
    free(scenario);
}

/* ---- full batches against values worked out by hand --------------------------------------------
 */

static void test_time_per_token_is_stages_times_stage_time(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    make_uniform(&scenario);
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    const ServeStageTime stage = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    for (size_t i = 0; i < 3; i++)
        assert_near(outcome.tpot_s[i], 15 * stage.total_s, 1e-9);
    assert_near(outcome.output_tokens_per_s, 64 / stage.total_s, 1e-9);
    assert_near(outcome.decode_only_output_tokens_per_s, 64 / stage.total_s, 1e-9);
    assert_near(outcome.stage.total_s, stage.total_s, 1e-9);
    assert_true(outcome.batch == 15 * 64);
    assert_true(outcome.input_tokens_per_s == 0);
}

static void test_uneven_stages_go_at_the_slowest(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    make_uniform(&scenario);
    scenario.serving.pipeline = 16; /* 8 stages of 7 layers, 8 of 8 */
    scenario.serving.max_batch = 16 * 64;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    const ServeStageTime slowest = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    assert_near(outcome.tpot_s[0], 16 * slowest.total_s, 1e-9);
}

static void test_one_sequence_goes_through_all_stages(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    /* Fourteen stages send, the last does not; its head of 8 words is one small product a token. */
    make_uniform(&scenario);
    scenario.serving.max_batch = 1;
    scenario.serving.output_tokens = 50;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    const ServeStageTime stage = serve_stage_time(&scenario, 8, 1, 1000, 0, 0);
    assert_true(outcome.tpot_s[0] > 14 * stage.total_s);
    assert_true(outcome.tpot_s[0] < 15.1 * stage.total_s);
    assert_near(outcome.output_tokens_per_s, 1 / outcome.tpot_s[0], 1e-9);
}

static void test_request_alone_on_one_stage(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;
    StageLayout layout;
    double prefill_s, decode_s;
    ServeStageTime slowest;

    /* One request at a time: a pass for each chunk of the prompt, then one for each further token.
     */
    make_uniform(&scenario);
    scenario.serving.pipeline = 1;
    scenario.model.layers = 8;
    scenario.serving.max_batch = 1;
    scenario.serving.prompt_tokens = 512;
    scenario.serving.prefill_chunk_tokens = 512;
    scenario.serving.output_tokens = 100;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);

    StageCost *cost = calloc(1, sizeof *cost);
    assert_non_null(cost);
    stage_cost_prepare(cost, &scenario);
    stage_layout(&scenario.model, 1, &layout);
    stage_cost_pipeline(cost, &layout, &(PassLoad){.prefill = 512, .prefill_context = 256.5},
                        &prefill_s, &slowest);
    stage_cost_pipeline(cost, &layout, &(PassLoad){.decode = 1, .context = 600}, &decode_s,
                        &slowest);
    free(cost);
    assert_near(outcome.ttft_s[0], prefill_s, 1e-9);
    assert_near(outcome.tpot_s[0], decode_s, 1e-9);
    assert_near(outcome.e2e_s[0], prefill_s + 99 * decode_s, 1e-9);
    assert_near(outcome.requests_per_s, 1 / outcome.e2e_s[0], 0.05);
}

static void test_fixed_lengths_come_out(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    serving_scenario(&scenario);
    scenario.serving.length_sigma = 0;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    /* Tokens and requests are counted at different events; over the window they agree. */
    assert_near(outcome.output_tokens_per_s / outcome.requests_per_s, 211, 0.1);
    assert_near(outcome.input_tokens_per_s / outcome.requests_per_s, 1155, 0.1);
}

static void test_prices(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome at_one, at_half, powered, idle;
    Error error;

    serving_scenario(&scenario);
    assert_int_equal(simulate(&scenario, &at_one, &error), STATUS_OK);
    assert_near(at_one.usd_per_s, 128.0 / 3600, 1e-12);
    assert_near(at_one.usd_per_1k_tokens,
                1e3 * 128 / 3600 / (0.5 * (at_one.input_tokens_per_s + at_one.output_tokens_per_s)),
                1e-12);
    /* What input and output cost apart is what the cluster costs. */
    assert_near(0.5e-6 * (at_one.usd_per_1m_input * at_one.input_tokens_per_s +
                          at_one.usd_per_1m_output * at_one.output_tokens_per_s),
                at_one.usd_per_s, 1e-9);
    assert_true(at_one.usd_per_1k_tokens > at_one.floor_usd_per_1k_at_peak);
    /* 2 x 280e9 active parameters x 1000 on 128 x 312 TFLOP/s take 14 ms of 128 USD an hour. */
    assert_near(at_one.floor_usd_per_1k_at_peak, 2 * 280e9 * 1e3 / (128 * 312e12) * 128 / 3600,
                0.01);

    scenario.prices.gpu_hour_usd = 0.5;
    assert_int_equal(simulate(&scenario, &at_half, &error), STATUS_OK);
    assert_near(at_half.usd_per_1k_tokens, at_one.usd_per_1k_tokens / 2, 1e-12);
    assert_near(at_half.usd_per_1m_output, at_one.usd_per_1m_output / 2, 1e-12);

    /* 16 nodes of 5 kW at PUE 1.2 and 0.1 USD/kWh */
    scenario.prices.energy_included = 0;
    scenario.prices.energy_usd_per_j = 0.1 / 3.6e6;
    assert_int_equal(simulate(&scenario, &powered, &error), STATUS_OK);
    assert_near(powered.usd_per_s - at_half.usd_per_s, 16 * 5000 * 1.2 * 0.1 / 3.6e6, 1e-9);

    scenario.serving.utilisation = 0.25;
    assert_int_equal(simulate(&scenario, &idle, &error), STATUS_OK);
    assert_near(idle.usd_per_1k_tokens, 2 * powered.usd_per_1k_tokens, 1e-12);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    serving_scenario(&scenario);
    scenario.serving.utilisation = 0;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "utilisation"));

    serving_scenario(&scenario);
    scenario.serving.output_tokens = 0;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_INVALID);

    serving_scenario(&scenario);
    scenario.serving.pipeline = 121; /* more stages than layers */
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_INVALID);
}

static void test_single_token_answers(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    serving_scenario(&scenario);
    scenario.serving.output_tokens = 1;
    scenario.serving.length_sigma = 0;
    scenario.serving.max_batch = 64;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    assert_near(outcome.e2e_s[0], outcome.ttft_s[0], 1e-9);
    assert_near(outcome.input_tokens_per_s, 1155 * outcome.output_tokens_per_s, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_token_is_lost),
        cmocka_unit_test(test_a_renewed_replica_is_as_new),
        cmocka_unit_test(test_lanes_hold_a_whole_sequence),
        cmocka_unit_test(test_capacity_is_the_stable_maximum),
        cmocka_unit_test(test_time_per_token_is_stages_times_stage_time),
        cmocka_unit_test(test_uneven_stages_go_at_the_slowest),
        cmocka_unit_test(test_one_sequence_goes_through_all_stages),
        cmocka_unit_test(test_request_alone_on_one_stage),
        cmocka_unit_test(test_fixed_lengths_come_out),
        cmocka_unit_test(test_prices),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_single_token_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

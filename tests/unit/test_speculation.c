/* Speculative decoding: tokens of a round against closed forms, blocks of memory against counting
 * them one by one, costs against what they are made of. */
#include "models/speculation.h"
#include "sim/engine/random.h"
#include "sim/serving/replica.h"
#include "sim/serving/speculation_map.h"
#include "tests/unit/serving_scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "tests/unit/shipped.h"

static const double eps = 1e-12;

/* Leviathan et al. 2023, equation 1. */
static double closed_form(double acceptance, double length)
{
    return (1 - pow(acceptance, length + 1)) / (1 - acceptance);
}

static void mean_is_the_closed_form(void **state)
{
    (void)state;
    for (double length = 1; length <= 16; length++)
        for (double acceptance = 0.05; acceptance < 1; acceptance += 0.1) {
            const SpeculationSpec speculation = {.length = length, .acceptance = acceptance};
            AcceptedTokens tokens;
            speculation_tokens(&speculation, &tokens);
            assert_near(tokens.mean, closed_form(acceptance, length), 1e-12 * tokens.mean);
        }
    SpeculationSpec positions = {.length = 3, .position_count = 3};
    positions.positions[0].share = 0.8;
    positions.positions[1].share = 0.5;
    positions.positions[2].share = 0.1;
    AcceptedTokens tokens;
    speculation_tokens(&positions, &tokens);
    assert_near(tokens.mean, 1 + 0.8 + 0.5 + 0.1, eps);
    const SpeculationSpec relaxed = {.length = 4,
                                     .acceptance = 0.5,
                                     .relaxed_acceptance = 0.8,
                                     .rule = ACCEPT_RELAXED,
                                     .lenience = 0.3};
    speculation_tokens(&relaxed, &tokens);
    assert_near(tokens.mean, closed_form(0.8, 4), eps);
}

/* Each count of tokens as often as it should be, within 4 standard errors. */
static void draws_follow_the_distribution(void **state)
{
    enum { DRAWS = 200000, LENGTH = 5 };
    const SpeculationSpec speculation = {.length = LENGTH, .acceptance = 0.7};
    double counts[LENGTH + 2] = {0};
    AcceptedTokens tokens;
    RandomStream stream = random_stream(3, "draws", 0);
    (void)state;
    speculation_tokens(&speculation, &tokens);
    for (size_t i = 0; i < DRAWS; i++)
        counts[speculation_draw(&tokens, random_uniform(&stream))]++;
    assert_near(counts[0], 0, 0);
    for (size_t n = 1; n <= LENGTH + 1; n++) {
        const double p = pow(0.7, (double)n - 1) * (n <= LENGTH ? 0.3 : 1);
        assert_near(counts[n] / DRAWS, p, 4 * sqrt(p * (1 - p) / DRAWS));
    }
}

/* ---- lanes --------------------------------------------------------------------------------------
 */

typedef struct Ends {
    size_t count, firsts;
    double tokens;
} Ends;

static void on_end(void *context, const QueuedRequest *request, double now_s)
{
    Ends *ends = context;
    (void)now_s;
    assert_int_equal(request->given, request->output);
    ends->count++;
    ends->tokens += request->output;
}

static void on_first(void *context, const QueuedRequest *request, double now_s)
{
    (void)request;
    (void)now_s;
    ((Ends *)context)->firsts++;
}

static uint64_t blocks_for(uint64_t tokens, uint64_t block)
{
    return (tokens + block - 1) / block;
}

/* What the lane keeps as sums, counted again sequence by sequence. */
static void recount(const Lane *lane)
{
    const uint64_t block = lane->limits.block_tokens;
    uint64_t blocks = 0, opening = 0;
    double kv = 0;
    size_t sequences = 0;
    for (uint32_t i = lane->oldest; i != UINT32_MAX; i = lane->requests[i].newer) {
        const LaneRequest *request = &lane->requests[i];
        const uint64_t tokens = (uint64_t)request->to_read + request->grown;
        const uint64_t whole = (uint64_t)request->asked.prompt + request->asked.output;
        const uint64_t after = tokens + 1 + lane->limits.speculation.length;
        const uint64_t wanted = blocks_for(after < whole ? after : whole, block);
        assert_true(request->held_blocks >= blocks_for(tokens, block));
        assert_true(tokens < whole);
        if (lane->limits.admission == ADMIT_PROMPT && wanted > request->held_blocks)
            opening += wanted - request->held_blocks;
        blocks += request->held_blocks;
        kv += (double)tokens;
        sequences++;
    }
    for (size_t i = 0; i < lane->reading_count; i++) {
        const size_t at = (lane->reading_first + i) % lane->limits.sequences;
        blocks += lane->requests[lane->reading[at]].held_blocks;
    }
    assert_int_equal(sequences, lane->decoding);
    assert_int_equal(blocks, lane->blocks_used);
    assert_int_equal(opening, lane->opening);
    assert_near(kv, lane->kv_tokens, 1e-6);
}

static void blocks_are_counted_exactly(void **state)
{
    static const KvAdmission ADMISSIONS[] = {ADMIT_PROMPT, ADMIT_WHOLE};
    static const BatchPolicy POLICIES[] = {BATCH_DECODE_FIRST, BATCH_PREFILL_FIRST};
    (void)state;
    for (size_t i = 0; i < 16; i++) {
        enum { REQUESTS = 400 };
        RandomStream stream = random_stream(8, "requests", i);
        LaneLimits limits = {.batching = POLICIES[i % 2],
                             .admission = ADMISSIONS[i / 2 % 2],
                             .block_tokens = i < 8 ? 16 : 1,
                             .iteration_tokens = 256,
                             .prompt_tokens = 200,
                             .sequences = 32,
                             .blocks = i < 8 ? 40 : 600,
                             .host_blocks = i / 4 % 2 == 0 ? 0 : 20,
                             .drafting_sequences = i % 3 == 0 ? 4 : 0};
        const SpeculationSpec speculation = {.length = 1 + (double)(i % 5), .acceptance = 0.75};
        speculation_tokens(&speculation, &limits.speculation);
        Lane lane;
        Error error;
        Ends ends = {0};
        const LaneSink sink = {.first_token = on_first, .finished = on_end, .context = &ends};
        WaitingLine line = {.most = 1000};
        double tokens = 0, given = 0;
        assert_int_equal(lane_init(&lane, &limits, &error), STATUS_OK);
        lane_seed(&lane, 5, i);
        for (size_t r = 0; r < REQUESTS; r++) {
            const QueuedRequest request = {0,
                                           -1,
                                           1 + (uint32_t)(random_uniform(&stream) * 300),
                                           1 + (uint32_t)(random_uniform(&stream) * 200),
                                           0,
                                           0,
                                           0};
            tokens += request.output;
            assert_int_equal(waiting_push(&line, &request, &error), STATUS_OK);
        }
        size_t rounds = 0;
        for (; lane_has_work(&lane, &line); rounds++) {
            PassLoad load;
            assert_true(rounds < 1000000);
            assert_int_equal(lane_plan(&lane, &line, &load, &error), STATUS_OK);
            assert_true(lane.blocks_used <= limits.blocks);
            assert_int_equal(lane_repeats(&lane), 1);
            const double got = lane_finish(&lane, 1, (double)rounds, &sink);
            assert_true(got >= load.decode && got <= load.decode * (1 + load.drafts));
            given += got;
            recount(&lane);
        }
        assert_int_equal(ends.count, REQUESTS);
        assert_int_equal(ends.firsts, REQUESTS);
        assert_near(ends.tokens, tokens, 0);
        /* Each reading gives one token, each preemption needs another reading. */
        assert_near(given, tokens - REQUESTS - (double)lane.preempted,
                    0.5 + (double)lane.preempted);
        assert_int_equal(lane.blocks_used, 0);
        assert_int_equal(lane.opening, 0);
        if (limits.admission == ADMIT_PROMPT)
            assert_true(lane.preempted > 0);
        lane_free(&lane);
        waiting_free(&line);
    }
}

/* ---- replicas -----------------------------------------------------------------------------------
 */

static void small_model(Scenario *scenario)
{
    serving_scenario(scenario);
    scenario->model = (ModelSpec){.layers = 32,
                                  .d_model = 4096,
                                  .d_ff = 11008,
                                  .heads = 32,
                                  .kv_heads = 32,
                                  .head_dim = 128,
                                  .vocab_size = 32000,
                                  .experts = 1,
                                  .gated_mlp = 1};
    scenario->serving.tensor = 2;
    scenario->serving.pipeline = 1;
    scenario->serving.max_batch = 64;
    scenario->serving.context_limit = 8192;
    scenario->serving.kv_block_tokens = 16;
    scenario->serving.attention = ATTENTION_FLASH2;
}

static void add_draft(Scenario *scenario, double length, double acceptance)
{
    SpeculationSpec *speculation = &scenario->serving.speculation;
    speculation->length = length;
    speculation->acceptance = acceptance;
    speculation->draft_tensor = 1;
    speculation->draft = (ModelSpec){.layers = 4,
                                     .d_model = 1024,
                                     .d_ff = 2816,
                                     .heads = 16,
                                     .kv_heads = 4,
                                     .head_dim = 64,
                                     .vocab_size = 32000,
                                     .experts = 1,
                                     .gated_mlp = 1};
}

/* `requests` one after the other; the counters. */
static ReplicaCounters one_by_one(const Scenario *scenario, size_t requests, uint32_t output,
                                  double *last_s)
{
    Ends ends = {0};
    const LaneSink sink = {.finished = on_end, .context = &ends};
    Replica *replica = NULL;
    Error error;
    if (replica_create(scenario, &sink, 0, &replica, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < requests; i++) {
        const QueuedRequest request = {replica_now(replica), -1, 100, output, 0, 0, 0};
        assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
        assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
    }
    const ReplicaCounters counters = replica_counters(replica);
    *last_s = replica_now(replica);
    assert_int_equal(ends.count, requests);
    replica_destroy(replica);
    return counters;
}

static void rounds_are_as_many_as_they_must_be(void **state)
{
    enum { REQUESTS = 50, OUTPUT = 1001 };
    Scenario *scenario = malloc(sizeof *scenario);
    double always_s, never_s, drafted_s, plain_s;
    (void)state;
    assert_non_null(scenario);

    /* All accepted: a prompt, then ceil(1000 / 5) rounds. */
    small_model(scenario);
    add_draft(scenario, 4, 1);
    ReplicaCounters counters = one_by_one(scenario, REQUESTS, OUTPUT, &always_s);
    assert_near(counters.iterations, REQUESTS * (1 + 200), 0);
    assert_near(counters.output_tokens, REQUESTS * OUTPUT, 0);
    assert_near(counters.round_tokens / counters.rounds, 5, 0);

    /* None accepted: as many iterations as without, and dearer ones. */
    scenario->serving.speculation.acceptance = 0;
    counters = one_by_one(scenario, REQUESTS, OUTPUT, &never_s);
    assert_near(counters.iterations, REQUESTS * OUTPUT, 0);
    scenario->serving.speculation.length = 0;
    counters = one_by_one(scenario, REQUESTS, OUTPUT, &plain_s);
    assert_near(counters.iterations, REQUESTS * OUTPUT, 0);
    assert_near(counters.rounds, 0, 0);
    assert_true(never_s > 1.2 * plain_s);
    assert_true(always_s < 0.5 * plain_s);

    /* In between: the closed form of the mean. A long answer ends in the middle of a round, half a
     * round's tokens of 1000. */
    scenario->serving.speculation.length = 4;
    scenario->serving.speculation.acceptance = 0.7;
    counters = one_by_one(scenario, REQUESTS, OUTPUT, &drafted_s);
    const double mean = closed_form(0.7, 4);
    double square = 0;
    for (int n = 1; n <= 5; n++)
        square += n * n * pow(0.7, n - 1) * (n < 5 ? 0.3 : 1);
    const double standard_error = sqrt((square - mean * mean) / counters.rounds);
    assert_near(counters.round_tokens / counters.rounds, mean, 4 * standard_error + 0.003 * mean);
    assert_true(drafted_s > always_s && drafted_s < plain_s);

    /* Too many decode for drafts: never one. */
    scenario->serving.speculation.most_sequences = 0.5;
    counters = one_by_one(scenario, REQUESTS, OUTPUT, &never_s);
    assert_near(counters.rounds, 0, 0);
    assert_near(counters.iterations, REQUESTS * OUTPUT, 0);
    free(scenario);
}

/* A pipeline: each lane draws for itself, and nothing is lost. */
static void pipelines_speculate(void **state)
{
    enum { REQUESTS = 300 };
    Scenario *scenario = malloc(sizeof *scenario);
    (void)state;
    assert_non_null(scenario);
    small_model(scenario);
    add_draft(scenario, 3, 0.6);
    scenario->serving.pipeline = 4;
    double last_s[2], tokens[2];
    for (int again = 0; again < 2; again++) {
        Ends ends = {0};
        const LaneSink sink = {.finished = on_end, .context = &ends};
        Replica *replica = NULL;
        Error error;
        assert_int_equal(replica_create(scenario, &sink, 0, &replica, &error), STATUS_OK);
        replica_seed(replica, 77);
        for (uint32_t i = 0; i < REQUESTS; i++) {
            const QueuedRequest request = {0.01 * i, -1, 10 + 7 * (i % 50), 1 + i % 170, 0, 0, 0};
            assert_int_equal(replica_advance(replica, request.arrival_s, &error), STATUS_OK);
            assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
        }
        assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
        assert_int_equal(ends.count, REQUESTS);
        const ReplicaCounters counters = replica_counters(replica);
        assert_near(counters.output_tokens, ends.tokens, 0);
        last_s[again] = replica_now(replica);
        tokens[again] = counters.rounds;
        replica_destroy(replica);
    }
    assert_near(last_s[0], last_s[1], 0);
    assert_near(tokens[0], tokens[1], 0);
    free(scenario);
}

/* ---- memory and cost ----------------------------------------------------------------------------
 */

static void draft_memory_is_counted(void **state)
{
    Scenario *scenario = malloc(sizeof *scenario);
    ServeMemory plain, with;
    (void)state;
    assert_non_null(scenario);
    small_model(scenario);
    serve_memory(scenario, &plain);
    add_draft(scenario, 4, 0.7);
    serve_memory(scenario, &with);
    const ModelSpec *draft = &scenario->serving.speculation.draft;
    /* One rank: all parameters and all heads of the draft, 2 bytes each. */
    assert_near(with.draft_weights_bytes, 2 * model_parameters(draft).total,
                1e-3 * with.draft_weights_bytes);
    assert_near(with.kv_bytes_per_token_gpu - plain.kv_bytes_per_token_gpu,
                2 * draft->layers * draft->kv_heads * draft->head_dim * 2, eps);
    assert_near(with.weights_bytes, plain.weights_bytes, 0);
    assert_near(with.kv_capacity_tokens,
                floor((plain.capacity_bytes - plain.reserved_bytes - plain.weights_bytes -
                       with.draft_weights_bytes) /
                      with.kv_bytes_per_token_gpu),
                1);
    scenario->serving.speculation.length = 0;
    serve_memory(scenario, &with);
    assert_near(with.kv_capacity_tokens, plain.kv_capacity_tokens, 0);
    free(scenario);
}

static void a_round_costs_what_it_reads(void **state)
{
    Scenario *scenario = malloc(sizeof *scenario);
    StageCost *cost = calloc(1, sizeof *cost);
    DraftCost *draft = calloc(1, sizeof *draft);
    StageLayout layout;
    Error error;
    (void)state;
    assert_true(scenario != NULL && cost != NULL && draft != NULL);
    small_model(scenario);
    add_draft(scenario, 4, 0.7);
    stage_cost_prepare(cost, scenario);
    stage_layout(&scenario->model, 1, &layout);
    assert_int_equal(draft_cost_prepare(draft, scenario, &error), STATUS_OK);
    for (double batch = 1; batch <= 256; batch *= 2) {
        const PassLoad plain = {.decode = batch, .context = 1000};
        const PassLoad check = {.decode = batch, .context = 1000, .drafts = 4};
        const PassLoad five = {.decode = 5 * batch, .context = 1000};
        const ServeStageTime a = stage_cost_time(cost, 32, &plain);
        const ServeStageTime b = stage_cost_time(cost, 32, &check);
        const ServeStageTime c = stage_cost_time(cost, 32, &five);
        /* Weights and products as five times the sequences; keys and values are read once. */
        assert_near(b.weights_s, c.weights_s, eps);
        assert_near(b.compute_s, c.compute_s, eps);
        assert_near(b.collective_s, c.collective_s, eps);
        assert_true(b.kv_s >= a.kv_s && b.kv_s < 5 * a.kv_s);
        assert_true(b.total_s >= a.total_s && b.total_s < 5 * a.total_s);

        /* Four steps of the draft; prompts add theirs to the first. */
        PassLoad step = plain;
        double one_s;
        ServeStageTime slowest;
        stage_cost_pipeline(&draft->cost, &draft->layout, &step, &one_s, &slowest);
        assert_near(draft_cost_s(draft, cost, &layout, &check), 4 * one_s, 1e-12);
        PassLoad mixed = check;
        mixed.prefill = 512;
        mixed.prefill_context = 256;
        step.prefill = 512;
        step.prefill_context = 256;
        double first_s;
        stage_cost_pipeline(&draft->cost, &draft->layout, &step, &first_s, &slowest);
        assert_near(draft_cost_s(draft, cost, &layout, &mixed), first_s + 3 * one_s, 1e-12);
    }
    free(draft);
    free(cost);
    free(scenario);
}

static void the_map_ends_where_the_gain_does(void **state)
{
    Scenario *scenario = malloc(sizeof *scenario);
    SpeculationScratch *scratch = calloc(1, sizeof *scratch);
    SpeculationMap map;
    Error error;
    (void)state;
    assert_true(scenario != NULL && scratch != NULL);
    small_model(scenario);
    assert_int_equal(speculation_map(scenario, 1000, scratch, &map, &error), STATUS_OK);
    assert_int_equal(map.count, 0);
    add_draft(scenario, 5, 0.6);
    /* Short contexts: long ones are read once for all drafts, and speculation then helps at any
     * batch. */
    scenario->serving.prompt_tokens = 64;
    scenario->serving.output_tokens = 32;
    assert_int_equal(speculation_map(scenario, 3000, scratch, &map, &error), STATUS_OK);
    assert_true(map.helps_from == 1 && map.helps_to > 1 && map.helps_to < 3000);
    assert_false(map.to_the_end);
    assert_near(map.points[map.count - 1].batch, 3000, 0);
    const double edge = map.helps_to;
    for (size_t i = 0; i < map.count; i++) {
        const SpeculationPoint *point = &map.points[i];
        assert_true((point->speedup > 1) == (point->batch <= edge));
        assert_near(point->speedup, point->plain_s * map.tokens_per_round / point->round_s, eps);
        assert_true(point->best_speedup >= point->speedup || point->best_length == 0);
        assert_true(i == 0 || point->best_length <= map.points[i - 1].best_length);
    }
    SpeculationMap at, beyond;
    assert_int_equal(speculation_map(scenario, edge, scratch, &at, &error), STATUS_OK);
    assert_int_equal(speculation_map(scenario, edge + 1, scratch, &beyond, &error), STATUS_OK);
    assert_true(at.points[at.count - 1].speedup > 1);
    assert_true(beyond.points[beyond.count - 1].speedup <= 1);
    free(scratch);
    free(scenario);
}

static void contradictions_are_refused(void **state)
{
    Scenario *scenario = malloc(sizeof *scenario);
    SpeculationSpec *speculation = &scenario->serving.speculation;
    Error error;
    (void)state;
    assert_non_null(scenario);
    small_model(scenario);
    assert_int_equal(speculation_check(scenario, &error), STATUS_OK);
    add_draft(scenario, 4, 0.7);
    assert_int_equal(speculation_check(scenario, &error), STATUS_OK);
    speculation->acceptance = 0;
    assert_int_equal(speculation_check(scenario, &error), STATUS_INVALID);
    speculation->acceptance = 0.7;
    speculation->rule = ACCEPT_RELAXED;
    speculation->relaxed_acceptance = 0.6;
    assert_int_equal(speculation_check(scenario, &error), STATUS_INVALID);
    speculation->relaxed_acceptance = 0.8;
    assert_int_equal(speculation_check(scenario, &error), STATUS_OK);
    speculation->draft_tensor = 4;
    assert_int_equal(speculation_check(scenario, &error), STATUS_INVALID);
    speculation->draft_tensor = 1;
    speculation->draft_share = 0.1;
    assert_int_equal(speculation_check(scenario, &error), STATUS_INVALID);
    speculation->draft_share = 0;
    speculation->draft.vocab_size = 50000;
    assert_int_equal(speculation_check(scenario, &error), STATUS_INVALID);
    speculation->draft.vocab_size = 32000;
    speculation->rule = ACCEPT_EXACT;
    speculation->acceptance = speculation->relaxed_acceptance = 0;
    speculation->position_count = 4;
    for (int i = 0; i < 4; i++)
        speculation->positions[i].share = 0.8 - 0.2 * i;
    assert_int_equal(speculation_check(scenario, &error), STATUS_OK);
    speculation->positions[2].share = 0.7;
    assert_int_equal(speculation_check(scenario, &error), STATUS_INVALID);
    speculation->positions[2].share = 0.4;
    speculation->length = 5;
    assert_int_equal(speculation_check(scenario, &error), STATUS_INVALID);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_is_the_closed_form),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(blocks_are_counted_exactly),
        cmocka_unit_test(rounds_are_as_many_as_they_must_be),
        cmocka_unit_test(pipelines_speculate),
        cmocka_unit_test(draft_memory_is_counted),
        cmocka_unit_test(a_round_costs_what_it_reads),
        cmocka_unit_test(the_map_ends_where_the_gain_does),
        cmocka_unit_test(contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

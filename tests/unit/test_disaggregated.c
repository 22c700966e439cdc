/* Prompts read here, answers given there: closed forms of single requests, and what holds of any
 * load. */
#include "tests/unit/serving_scenario.h"

#include "hw/collective.h"
#include "models/plan_check.h"
#include "sim/serving/arrivals.h"
#include "sim/serving/serve_load.h"
#include "sim/serving/unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "tests/unit/shipped.h"

enum { MOST_SEEN = 8 };

typedef struct Seen {
    size_t count, first_count;
    double first_s[MOST_SEEN], end_s[MOST_SEEN]; /* by tag */
    double prompt, output, last_s, first_sum, tag_sum;
} Seen;

static void see(void *context, const QueuedRequest *request, double now_s)
{
    Seen *seen = context;
    assert_int_equal(request->given, request->output);
    assert_true(request->first_s >= request->arrival_s && request->first_s <= now_s);
    if (request->tag < MOST_SEEN) {
        seen->first_s[request->tag] = request->first_s;
        seen->end_s[request->tag] = now_s;
    }
    seen->count++;
    seen->prompt += request->prompt;
    seen->output += request->output;
    seen->first_sum += request->first_s;
    seen->tag_sum += request->tag;
    seen->last_s = fmax(seen->last_s, now_s);
}

static void see_first(void *context, const QueuedRequest *request, double now_s)
{
    Seen *seen = context;
    assert_int_equal(request->given, 1);
    assert_near(request->first_s, now_s, 0);
    seen->first_count++;
}

static const double no_limit = 1e30;

static Scenario *disaggregated(double prefill, double decode, double bytes_per_s)
{
    Scenario *scenario = malloc(sizeof *scenario);
    assert_non_null(scenario);
    small_serving_scenario(scenario);
    scenario->hardware.fabric.p2p_latency_s = 0;
    DisaggregatedSpec *spec = &scenario->serving.disaggregated;
    spec->prefill.replicas = prefill;
    spec->decode.replicas = decode;
    spec->link.bytes_per_s = bytes_per_s;
    return scenario;
}

static ServingUnit *unit_of(const Scenario *scenario, Seen *seen, int step_by_step)
{
    const LaneSink sink = {.first_token = see_first, .finished = see, .context = seen};
    ServingUnit *unit = NULL;
    Error error = {0};
    *seen = (Seen){0};
    if (unit_create(scenario, &sink, step_by_step, &unit, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return unit;
}

static void offer(ServingUnit *unit, double at_s, uint32_t prompt, uint32_t output, uint32_t tag)
{
    Error error = {0};
    const QueuedRequest request = {
        .arrival_s = at_s, .first_s = -1, .prompt = prompt, .output = output, .tag = tag};
    assert_int_equal(unit_advance(unit, at_s, &error), STATUS_OK);
    assert_int_equal(unit_offer(unit, &request, &error), STATUS_OK);
}

static void run_out(ServingUnit *unit)
{
    Error error = {0};
    assert_int_equal(unit_advance(unit, HUGE_VAL, &error), STATUS_OK);
}

/* `count` like requests at once. */
static Seen seen_of(const Scenario *scenario, uint32_t count, uint32_t prompt, uint32_t output)
{
    Seen seen;
    ServingUnit *unit = unit_of(scenario, &seen, 0);
    for (uint32_t i = 0; i < count; i++)
        offer(unit, 1, prompt, output, i);
    run_out(unit);
    assert_int_equal(seen.count, count);
    assert_int_equal(seen.first_count, count);
    unit_destroy(unit);
    return seen;
}

static double block_bytes(const Scenario *scenario)
{
    const ModelSpec *model = &scenario->model;
    return scenario->serving.kv_block_tokens * 2 * model->layers * model->kv_heads *
           model->head_dim * 2;
}

/* A link without limit and one request: what one replica does alone, whichever way keys and values
 * go and whoever hands the first token out. */
static void an_unlimited_link_costs_nothing(void **state)
{
    Scenario *scenario = disaggregated(1, 1, no_limit);
    Scenario *aggregated = malloc(sizeof *aggregated);
    (void)state;
    assert_non_null(aggregated);
    small_serving_scenario(aggregated);
    const uint32_t prompts[] = {1, 16, 700, 3000}, outputs[] = {2, 100, 1, 900};
    for (size_t i = 0; i < 4; i++) {
        const Seen alone = seen_of(aggregated, 1, prompts[i], outputs[i]);
        for (int kind = 0; kind < 4; kind++) {
            scenario->serving.disaggregated.link.overlap = kind & 1 ? KV_BY_LAYER : KV_AFTER_PROMPT;
            scenario->serving.disaggregated.first_token =
                kind & 2 ? FIRST_TOKEN_FROM_PREFILL : FIRST_TOKEN_FROM_DECODE;
            const Seen seen = seen_of(scenario, 1, prompts[i], outputs[i]);
            assert_near(seen.first_s[0], alone.first_s[0], 1e-12);
            assert_near(seen.end_s[0], alone.end_s[0], 1e-9);
        }
    }
    free(aggregated);
    free(scenario);
}

/* A slow link adds its latency and bytes / bandwidth: to the first token, or, when the prefill side
 * hands that out, to the tokens behind it. Keys and values go in whole blocks. */
static void a_slow_link_adds_its_time(void **state)
{
    const double bytes_per_s = 2e9, latency_s = 0.01;
    Scenario *fast = disaggregated(1, 1, no_limit);
    Scenario *slow = disaggregated(1, 1, bytes_per_s);
    (void)state;
    slow->serving.disaggregated.link.latency_s = latency_s;
    const double transfer_s = latency_s + ceil(1001 / 16.0) * block_bytes(slow) / bytes_per_s;
    assert_near(transfer_s, 0.2742, 1e-4);
    const Seen a = seen_of(fast, 1, 1001, 50), b = seen_of(slow, 1, 1001, 50);
    assert_near(b.first_s[0] - a.first_s[0], transfer_s, 1e-9);
    assert_near(b.end_s[0] - a.end_s[0], transfer_s, 1e-9);
    slow->serving.disaggregated.first_token = FIRST_TOKEN_FROM_PREFILL;
    const Seen c = seen_of(slow, 1, 1001, 50);
    assert_near(c.first_s[0], a.first_s[0], 1e-12);
    assert_near(c.end_s[0], b.end_s[0], 1e-12);
    free(slow);
    free(fast);
}

/* Groups of attention on the side that answers: a request's keys and values go to one of them, as
 * much as one group of all GPUs would be sent. */
static void keys_go_to_one_group(void **state)
{
    Scenario *scenario = disaggregated(1, 1, 2e9);
    Seen seen;
    (void)state;
    scenario->serving.disaggregated.decode.tensor = 4;
    for (int grouped = 0; grouped < 2; grouped++) {
        scenario->serving.disaggregated.decode.attention_data = grouped ? 4 : 0;
        ServingUnit *unit = unit_of(scenario, &seen, 0);
        const QueuedRequest request = {.first_s = -1, .prompt = 1001, .output = 50};
        Error error = {0};
        assert_int_equal(unit_offer(unit, &request, &error), STATUS_OK);
        assert_int_equal(unit_advance(unit, HUGE_VAL, &error), STATUS_OK);
        assert_near(unit_transfers(unit)->bytes, ceil(1001 / 16.0) * block_bytes(scenario), 1);
        unit_destroy(unit);
    }
    free(scenario);
}

/* By layer: what the link moves while the prompt is read has gone by its end, all but the last
 * layer at most. */
static void layers_travel_while_the_prompt_is_read(void **state)
{
    Scenario *fast = disaggregated(1, 1, no_limit);
    Scenario *scenario = disaggregated(1, 1, 1);
    (void)state;
    const Seen a = seen_of(fast, 1, 1600, 50);
    const double reading_s = a.first_s[0] - 1, bytes = 100 * block_bytes(scenario);
    KvLinkSpec *link = &scenario->serving.disaggregated.link;
    link->overlap = KV_BY_LAYER;
    /* Twice as fast as it must be: the last of 32 layers is left. */
    link->bytes_per_s = 2 * bytes / reading_s;
    Seen b = seen_of(scenario, 1, 1600, 50);
    assert_near(b.first_s[0] - a.first_s[0], bytes / 32 / link->bytes_per_s, 1e-9);
    /* Half as fast: half of it is left, which takes as long again. */
    link->bytes_per_s = bytes / reading_s / 2;
    b = seen_of(scenario, 1, 1600, 50);
    assert_near(b.first_s[0] - a.first_s[0], reading_s, 1e-9);
    free(scenario);
    free(fast);
}

/* Two prompts read at once on two replicas: their transfers share the one port that they go to, and
 * two ports if there are two. */
static void transfers_share_ports(void **state)
{
    const double bytes_per_s = 1e9;
    Scenario *one = disaggregated(1, 1, bytes_per_s);
    Scenario *shared = disaggregated(2, 1, bytes_per_s);
    Scenario *apart = disaggregated(2, 2, bytes_per_s);
    (void)state;
    const double transfer_s = 50 * block_bytes(one) / bytes_per_s;
    const Seen alone = seen_of(one, 1, 800, 30);
    const Seen pair = seen_of(shared, 2, 800, 30);
    const Seen two = seen_of(apart, 2, 800, 30);
    for (size_t i = 0; i < 2; i++) {
        assert_near(pair.first_s[i] - alone.first_s[0], transfer_s, 1e-9);
        assert_near(two.first_s[i], alone.first_s[0], 1e-12);
    }
    free(apart);
    free(shared);
    free(one);
}

/* Without a bandwidth of its own a link has that of the ports of all GPUs of a replica. */
static void ports_are_those_of_the_hardware(void **state)
{
    Scenario *scenario = disaggregated(1, 1, 0);
    Seen seen;
    (void)state;
    scenario->serving.disaggregated.prefill.tensor = 4;
    scenario->serving.disaggregated.decode.tensor = 2;
    ServingUnit *unit = unit_of(scenario, &seen, 0);
    const double of_gpu =
        scenario->hardware.fabric.p2p_efficiency * port_bytes_per_s_of_gpu(&scenario->hardware);
    assert_near(unit_transfers(unit)->ports_bytes_per_s[SIDE_PREFILL], 4 * of_gpu, 1);
    assert_near(unit_transfers(unit)->ports_bytes_per_s[SIDE_DECODE], 2 * of_gpu, 1);
    offer(unit, 0, 1600, 2, 0);
    run_out(unit);
    assert_near(unit_transfers(unit)->network_s.sum_s, 100 * block_bytes(scenario) / (2 * of_gpu),
                1e-9);
    assert_near(unit_transfers(unit)->bytes, 100 * block_bytes(scenario), 1);
    unit_destroy(unit);
    scenario->serving.disaggregated.link.path = KV_WITHIN_NODE;
    unit = unit_of(scenario, &seen, 0);
    assert_near(unit_transfers(unit)->ports_bytes_per_s[SIDE_DECODE],
                2 * scenario->hardware.node.all_gather.bytes_per_s, 1);
    unit_destroy(unit);
    free(scenario);
}

/* The prefill side keeps a prompt's blocks until they have travelled: with memory for two prompts
 * and a decode side that takes one request at a time, no third is read before one has gone. */
static void both_sides_hold_blocks(void **state)
{
    Scenario *scenario = disaggregated(1, 1, no_limit);
    Scenario *wide = disaggregated(1, 1, no_limit);
    Error error = {0};
    Seen seen;
    ReplicaMemory memory;
    (void)state;
    ServingUnit *unit = unit_of(wide, &seen, 0);
    memory = unit_side(unit, SIDE_PREFILL).memory;
    unit_destroy(unit);
    const uint32_t prompt = (uint32_t)(memory.blocks * memory.block_tokens / 2) - 32;
    for (int narrow = 0; narrow < 2; narrow++) {
        Scenario *one = narrow ? scenario : wide;
        one->serving.context_limit = 1.1 * prompt;
        one->serving.disaggregated.first_token = FIRST_TOKEN_FROM_PREFILL;
        one->serving.disaggregated.decode.max_batch = narrow ? 1 : 256;
        unit = unit_of(one, &seen, 0);
        for (uint32_t i = 0; i < 5; i++)
            offer(unit, 0, prompt, narrow ? 8000 : 2, i);
        for (double at_s = 0; seen.count < 1 && at_s < 1000; at_s += 0.05)
            assert_int_equal(unit_advance(unit, at_s, &error), STATUS_OK);
        /* One has gone over and ended; two were read behind it and are held. */
        if (narrow)
            assert_int_equal(seen.first_count, 3);
        run_out(unit);
        assert_int_equal(seen.count, 5);
        unit_destroy(unit);
    }
    free(wide);
    free(scenario);
}

static Seen drawn_load(const Scenario *scenario, double rate, size_t requests, int step_by_step,
                       SideUse sides[SERVING_SIDES])
{
    Seen seen;
    Error error = {0};
    ServingUnit *unit = unit_of(scenario, &seen, step_by_step);
    ArrivalStream stream = arrivals_drawn(scenario, rate, requests, 5);
    uint32_t tag = 0;
    for (int more = 1; more;) {
        Arrival arrival;
        assert_int_equal(arrivals_next(&stream, &arrival, &more, &error), STATUS_OK);
        if (more)
            offer(unit, arrival.at_s, (uint32_t)arrival.prompt, (uint32_t)arrival.output, tag++);
    }
    run_out(unit);
    for (int side = 0; side < SERVING_SIDES; side++)
        sides[side] = unit_side(unit, (ServingSide)side);
    unit_destroy(unit);
    return seen;
}

/* Runs of iterations that are cut short when something comes give what single iterations give; no
 * request and no token is lost, with memory to spare and without. */
static void loads_are_conserved(void **state)
{
    static const KvOverlap OVERLAPS[] = {KV_AFTER_PROMPT, KV_BY_LAYER};
    enum { REQUESTS = 1500 };
    (void)state;
    for (int i = 0; i < 8; i++) {
        SideUse fast_use[SERVING_SIDES], slow_use[SERVING_SIDES];
        Scenario *scenario = disaggregated(2, 3, 5e9);
        scenario->serving.disaggregated.link.overlap = OVERLAPS[i % 2];
        scenario->serving.kv_admission = i / 2 % 2 ? ADMIT_WHOLE : ADMIT_PROMPT;
        const int short_of_memory = i >= 4;
        if (short_of_memory)
            scenario->hardware.gpu.memory_bytes = 24e9;
        const double rate = short_of_memory ? 10 : 6;
        const Seen fast = drawn_load(scenario, rate, REQUESTS, 0, fast_use);
        const Seen slow = drawn_load(scenario, rate, REQUESTS, 1, slow_use);
        const Seen again = drawn_load(scenario, rate, REQUESTS, 0, slow_use + 0);
        assert_memory_equal(&fast, &again, sizeof fast);
        assert_int_equal(fast.count, REQUESTS);
        assert_int_equal(fast.first_count, REQUESTS);
        assert_near(fast.tag_sum, REQUESTS * (REQUESTS - 1) / 2.0, 0);
        assert_int_equal(slow.count, REQUESTS);
        assert_near(fast.last_s, slow.last_s, 1e-6 * slow.last_s);
        assert_near(fast.first_sum, slow.first_sum, 1e-6 * slow.first_sum);
        const ReplicaCounters *prefill = &fast_use[SIDE_PREFILL].counters;
        const ReplicaCounters *decode = &fast_use[SIDE_DECODE].counters;
        assert_near(prefill->input_tokens, fast.prompt, 0);
        assert_near(prefill->output_tokens, REQUESTS, 0);
        assert_near(decode->output_tokens, fast.output - REQUESTS, 0);
        assert_near(prefill->preempted, 0, 0);
        if (short_of_memory && scenario->serving.kv_admission == ADMIT_PROMPT) {
            assert_true(decode->preempted > 0);
            assert_true(decode->input_tokens > 0); /* thrown out: read again there */
        } else {
            assert_near(decode->input_tokens, 0, 0);
        }
        free(scenario);
    }
}

/* The stable maximum is the smallest of what the prefill side, the decode side and the ports
 * between them can do. */
static void the_slowest_part_sets_the_rate(void **state)
{
    static const struct {
        double prefill, decode, bytes_per_s;
        int limit; /* a side, or SERVING_SIDES: the ports */
    } CASES[] = {{1, 4, 1e30, SIDE_PREFILL}, {4, 1, 1e30, SIDE_DECODE}, {2, 2, 3e8, SERVING_SIDES}};
    LoadForecast *forecast = malloc(sizeof *forecast);
    LoadOptions options = {.seed = 1};
    (void)state;
    assert_non_null(forecast);
    for (size_t i = 0; i < 3; i++) {
        Error error = {0};
        Scenario *scenario = disaggregated(CASES[i].prefill, CASES[i].decode, CASES[i].bytes_per_s);
        scenario->serving.prompt_tokens = 1000;
        scenario->serving.output_tokens = 200;
        scenario->serving.length_sigma = 0.3;
        scenario->serving.max_batch = 64;
        scenario->serving.disaggregated.prefill.max_batch = 16;
        if (serve_load(scenario, &options, forecast, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        const double prefill = forecast->sides[SIDE_PREFILL].maximum_per_s;
        const double decode = forecast->sides[SIDE_DECODE].maximum_per_s;
        const double ports = fmin(CASES[i].prefill, CASES[i].decode) * CASES[i].bytes_per_s /
                             (1008 * block_bytes(scenario) / 16);
        const double expected = fmin(ports, fmin(prefill, decode));
        print_message("  prefill %.2f/s, decode %.2f/s, ports %.3g/s: together %.2f/s\n", prefill,
                      decode, ports, forecast->stable_maximum_per_s);
        assert_near(forecast->stable_maximum_per_s / expected, 1, 0.03);
        assert_true(CASES[i].limit != SIDE_PREFILL || prefill < 0.8 * fmin(decode, ports));
        assert_true(CASES[i].limit != SIDE_DECODE || decode < 0.8 * fmin(prefill, ports));
        assert_true(CASES[i].limit != SERVING_SIDES || ports < 0.8 * fmin(prefill, decode));
        free(scenario);
    }
    free(forecast);
}

/* Money and FLOP/s are those of all GPUs of both sides; prompts pay for the prefill side. */
static void all_gpus_are_paid_for(void **state)
{
    Scenario *scenario = disaggregated(3, 1, no_limit);
    LoadForecast *forecast = malloc(sizeof *forecast);
    LoadOptions options = {.requests = 500, .seed = 1, .rate_per_s = 2};
    Error error = {0};
    (void)state;
    assert_non_null(forecast);
    scenario->serving.disaggregated.prefill.tensor = 2;
    scenario->serving.disaggregated.decode.tensor = 4;
    scenario->serving.replicas = 2;
    assert_int_equal(serve_load(scenario, &options, forecast, &error), STATUS_OK);
    assert_near(forecast->gpus, 2 * (3 * 2 + 4), 0);
    assert_near(forecast->point.economics.usd_per_hour, 20 * scenario->prices.gpu_hour_usd, 1e-9);
    const LoadPoint *point = &forecast->point;
    const double usd_per_s = point->economics.usd_per_hour / 3600;
    assert_near(point->economics.usd_per_1m_input * point->input_tokens_per_s / 1e6 / usd_per_s,
                0.6, 1e-9);
    assert_near(point->economics.usd_per_1m_output * point->output_tokens_per_s / 1e6 / usd_per_s,
                0.4, 1e-9);
    assert_near(point->finished, 500, 0);
    assert_true(point->transfer.count > 450 && point->transfer.count <= 500); /* not of one token */
    free(forecast);
    free(scenario);
}

static void what_cannot_be_is_refused(void **state)
{
    Scenario *scenario = disaggregated(1, 1, no_limit);
    Seen seen;
    Error error = {0};
    (void)state;
    ServingUnit *unit = unit_of(scenario, &seen, 0);
    const QueuedRequest too_long = {.first_s = -1, .prompt = 100, .output = UINT32_MAX / 2};
    assert_int_equal(unit_offer(unit, &too_long, &error), STATUS_NO);
    unit_destroy(unit);
    /* A side that does not fit says which. */
    scenario->model.layers = 320;
    scenario->serving.disaggregated.decode.tensor = 8;
    const LaneSink sink = {.finished = see, .context = &seen};
    assert_int_equal(unit_create(scenario, &sink, 0, &unit, &error), STATUS_NO);
    assert_non_null(strstr(error.message, "prefill side"));
    /* Each side is a plan of its own. */
    scenario->model.layers = 32;
    assert_int_equal(plan_check(scenario, &error), STATUS_OK);
    scenario->serving.disaggregated.decode.tensor = 3;
    assert_int_equal(plan_check(scenario, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "serving.disaggregated.decode"));
    free(scenario);
}

/* Request `tag` with a shared beginning. */
static void offer_shared(ServingUnit *unit, double at_s, uint32_t prompt, uint32_t prefix,
                         uint32_t tag)
{
    Error error = {0};
    const QueuedRequest request = {.arrival_s = at_s,
                                   .first_s = -1,
                                   .prompt = prompt,
                                   .output = 20,
                                   .tag = tag,
                                   .prefix = prefix};
    assert_int_equal(unit_advance(unit, at_s, &error), STATUS_OK);
    assert_int_equal(unit_offer(unit, &request, &error), STATUS_OK);
}

/* A cache on the side that reads: the second prompt is read from behind what it shares, and travels
 * whole. On the side that answers there is none. */
static void beginnings_are_kept_where_they_are_read(void **state)
{
    Scenario *scenario = disaggregated(1, 1, no_limit);
    Error error = {0};
    PrefixTree tree = {.piece_tokens = 800};
    (void)state;
    assert_int_equal(prefix_tree_add(&tree, 1, 0, &error), STATUS_OK);
    assert_int_equal(prefix_tree_add(&tree, 2, 0, &error), STATUS_OK);
    const double whole_s = seen_of(scenario, 1, 1000, 20).first_s[0] - 1;
    for (int own = 0; own < 3; own++) {
        /* As serving says, switched on, switched off. */
        scenario->serving.prefix_cache = own != 1;
        scenario->serving.disaggregated.prefill.prefix_cache = own == 1 ? 2 : own == 2 ? 1 : 0;
        assert_int_equal(serving_keeps_prefixes(&scenario->serving), own != 2);
        Seen seen;
        ServingUnit *unit = unit_of(scenario, &seen, 0);
        assert_int_equal(unit_share(unit, &tree, &error), STATUS_OK);
        offer_shared(unit, 1, 1000, 1, 0);
        offer_shared(unit, 50, 1000, 1, 1);
        offer_shared(unit, 100, 1000, 2, 2);
        run_out(unit);
        assert_near(seen.first_s[0] - 1, whole_s, 1e-12);
        assert_near(seen.first_s[2] - 100, whole_s, 1e-12);
        if (own == 2)
            assert_near(seen.first_s[1] - 50, whole_s, 1e-12);
        else
            assert_true(seen.first_s[1] - 50 < 0.5 * whole_s);
        assert_near(unit_transfers(unit)->bytes, 3 * ceil(1000 / 16.0) * block_bytes(scenario), 1);
        const ReplicaCounters prefill = unit_side(unit, SIDE_PREFILL).counters;
        const ReplicaCounters decode = unit_side(unit, SIDE_DECODE).counters;
        assert_near(prefill.cache_hit, own == 2 ? 0 : 800, 0);
        assert_near(decode.cache_hit, 0, 0);
        unit_destroy(unit);
    }
    scenario->serving.disaggregated.decode.prefix_cache = 2;
    assert_int_equal(plan_check(scenario, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "decode.prefix_cache"));
    prefix_tree_free(&tree);
    free(scenario);
}

/* With little memory and a slow link, what travels is neither forgotten nor lost: all requests end,
 * and in the end nobody holds any. */
static void shared_blocks_stay_until_they_have_gone(void **state)
{
    enum { REQUESTS = 300, PREFIXES = 12 };
    Scenario *scenario = disaggregated(1, 2, 1e9);
    Error error = {0};
    PrefixTree tree = {.piece_tokens = 320};
    OccupancySeries series[SERVING_SIDES] = {{0}};
    Seen seen;
    (void)state;
    scenario->serving.prefix_cache = 1;
    scenario->serving.context_limit = 1024;
    scenario->hardware.gpu.memory_bytes = 20e9;
    for (uint32_t i = 1; i <= PREFIXES; i++)
        assert_int_equal(prefix_tree_add(&tree, i, 0, &error), STATUS_OK);
    ServingUnit *unit = unit_of(scenario, &seen, 0);
    unit_watch(unit, series);
    assert_int_equal(unit_share(unit, &tree, &error), STATUS_OK);
    for (uint32_t i = 0; i < REQUESTS; i++)
        offer_shared(unit, 0.02 * i, 340 + i * 97 % 600, 1 + i * 7 % PREFIXES, i);
    run_out(unit);
    assert_int_equal(seen.count, REQUESTS);
    const ReplicaMemory memory = unit_side(unit, SIDE_PREFILL).memory;
    double most = 0;
    for (size_t i = 0; i < occupancy_count(&series[SIDE_PREFILL]); i++)
        most = fmax(most, occupancy_mean(&series[SIDE_PREFILL], i).kv_blocks);
    print_message("  prefill side: up to %.0f of %.0f blocks\n", most, memory.blocks);
    assert_true(most > 0.5 * memory.blocks && most <= memory.blocks);
    /* Nobody there for a long time: nothing is held. */
    const double end_s = seen.last_s;
    offer_shared(unit, end_s + 1e4, 700, 1, REQUESTS);
    run_out(unit);
    assert_int_equal(seen.count, REQUESTS + 1);
    for (int side = 0; side < SERVING_SIDES; side++) {
        const size_t middle = (size_t)((end_s + 5e3) / series[side].part_s);
        assert_near(occupancy_mean(&series[side], middle).kv_blocks, 0, 0);
        assert_near(occupancy_mean(&series[side], middle).running, 0, 0);
    }
    unit_destroy(unit);
    prefix_tree_free(&tree);
    free(scenario);
}

static void speculate(Scenario *scenario)
{
    SpeculationSpec *speculation = &scenario->serving.speculation;
    speculation->length = 4;
    speculation->acceptance = 1;
    speculation->draft_tensor = 1;
    speculation->draft = (ModelSpec){.layers = 4,
                                     .d_model = 1024,
                                     .d_ff = 4096,
                                     .heads = 8,
                                     .kv_heads = 8,
                                     .head_dim = 128,
                                     .vocab_size = 32000,
                                     .experts = 1,
                                     .experts_per_token = 1};
}

/* The draft on both sides, on one, on none. Without it the prefill side is as fast and as empty as
 * without speculation and sends the model's own keys and values; the decode side then reads the
 * prompt with the draft before its first round. */
static void drafts_belong_to_a_side(void **state)
{
    Scenario *scenario = disaggregated(1, 1, 5e9);
    DisaggregatedSpec *spec = &scenario->serving.disaggregated;
    Seen seen[4];
    double bytes[4], prefill_bytes[4], decode_bytes[4];
    (void)state;
    spec->first_token = FIRST_TOKEN_FROM_PREFILL;
    enum { PLAIN, BOTH, DECODE_ONLY, NEITHER };
    for (int kind = PLAIN; kind <= NEITHER; kind++) {
        if (kind == BOTH)
            speculate(scenario);
        spec->prefill.drafts = kind >= DECODE_ONLY ? DRAFTS_NONE : DRAFTS_AS_SERVING;
        spec->decode.drafts = kind == NEITHER ? DRAFTS_NONE : DRAFTS_AS_SERVING;
        ServingUnit *unit = unit_of(scenario, &seen[kind], 0);
        unit_seed(unit, 1);
        offer(unit, 1, 1600, 101, 0);
        run_out(unit);
        bytes[kind] = unit_transfers(unit)->bytes;
        prefill_bytes[kind] = unit_side(unit, SIDE_PREFILL).memory.draft_weights_bytes;
        decode_bytes[kind] = unit_side(unit, SIDE_DECODE).memory.draft_weights_bytes;
        unit_destroy(unit);
    }
    assert_near(seen[NEITHER].first_s[0], seen[PLAIN].first_s[0], 0);
    assert_near(seen[NEITHER].end_s[0], seen[PLAIN].end_s[0], 0);
    assert_near(seen[DECODE_ONLY].first_s[0], seen[PLAIN].first_s[0], 0);
    assert_true(seen[BOTH].first_s[0] > seen[PLAIN].first_s[0]);
    assert_true(seen[BOTH].end_s[0] < seen[PLAIN].end_s[0]);
    assert_near(bytes[DECODE_ONLY], bytes[PLAIN], 0);
    const double draft_block = 16.0 * 2 * 4 * 8 * 128 * 2;
    assert_near(bytes[BOTH] - bytes[PLAIN], 100 * draft_block, 1);
    assert_near(prefill_bytes[DECODE_ONLY], 0, 0);
    assert_true(decode_bytes[DECODE_ONLY] > 0);
    assert_near(decode_bytes[DECODE_ONLY], decode_bytes[BOTH], 0);
    assert_near(decode_bytes[NEITHER], 0, 0);
    /* What the prefill side saves, less the way of the draft's keys and values, the decode side
     * takes: the same reading on the same GPU, once. */
    const double reading_s = seen[BOTH].first_s[0] - seen[PLAIN].first_s[0];
    const double sending_s = 100 * draft_block / 5e9;
    const double later_s = seen[DECODE_ONLY].end_s[0] - seen[BOTH].end_s[0];
    assert_true(reading_s > 0);
    assert_near(later_s + sending_s, 0, 0.5 * reading_s);
    free(scenario);
}

/* A side with weights of its own precision has their format too. */
static void a_side_has_its_own_weights(void **state)
{
    Scenario *scenario = disaggregated(1, 1, no_limit);
    Scenario one;
    Error error = {0};
    DisaggregatedSpec *spec = &scenario->serving.disaggregated;
    (void)state;
    scenario->serving.weight_precision = PRECISION_INT4;
    scenario->serving.weights = (WeightFormat){
        .of = (SidePrecision)(SIDE_PRECISION_FIRST + PRECISION_INT4), .wide_rate = 0.7};
    spec->prefill.weight_precision = (SidePrecision)(SIDE_PRECISION_FIRST + PRECISION_FP8);
    assert_int_equal(plan_check(scenario, &error), STATUS_OK);
    serving_side_scenario(scenario, SIDE_PREFILL, &one);
    assert_int_equal(one.serving.weight_precision, PRECISION_FP8);
    assert_near(one.serving.weights.wide_rate, 0, 0);
    serving_side_scenario(scenario, SIDE_DECODE, &one);
    assert_int_equal(one.serving.weight_precision, PRECISION_INT4);
    assert_near(one.serving.weights.wide_rate, 0.7, 0);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unlimited_link_costs_nothing),
        cmocka_unit_test(a_slow_link_adds_its_time),
        cmocka_unit_test(keys_go_to_one_group),
        cmocka_unit_test(layers_travel_while_the_prompt_is_read),
        cmocka_unit_test(transfers_share_ports),
        cmocka_unit_test(ports_are_those_of_the_hardware),
        cmocka_unit_test(both_sides_hold_blocks),
        cmocka_unit_test(loads_are_conserved),
        cmocka_unit_test(the_slowest_part_sets_the_rate),
        cmocka_unit_test(all_gpus_are_paid_for),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(beginnings_are_kept_where_they_are_read),
        cmocka_unit_test(shared_blocks_stay_until_they_have_gone),
        cmocka_unit_test(drafts_belong_to_a_side),
        cmocka_unit_test(a_side_has_its_own_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

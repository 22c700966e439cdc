/* Shared beginnings of prompts: what the cache holds, counted again piece by piece, and what it
 * saves. */
#include "sim/engine/random.h"
#include "sim/serving/arrivals.h"
#include "sim/serving/lane.h"
#include "tests/unit/serving_scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/shipped.h"

enum { PIECE = 32, BLOCK = 16, NODES = 60 };

static void ignore(void *context, const QueuedRequest *request, double now_s)
{
    (void)request;
    (void)now_s;
    (*(size_t *)context)++;
}

/* Node i rests on i / 3: a tree with three children each. */
static void plant(PrefixTree *tree)
{
    Error error;
    *tree = (PrefixTree){.piece_tokens = PIECE};
    for (uint32_t node = 1; node < NODES; node++)
        assert_int_equal(prefix_tree_add(tree, node, node / 3, &error), STATUS_OK);
}

static void a_tree_keeps_its_shape(void **state)
{
    PrefixTree tree;
    Error error;
    (void)state;
    plant(&tree);
    assert_int_equal(tree.nodes[1].depth, 1);
    assert_int_equal(tree.nodes[40].parent, 13);
    assert_int_equal(tree.nodes[40].depth, 4); /* 1, 4, 13, 40 */
    assert_int_equal(prefix_tree_add(&tree, 40, 13, &error), STATUS_OK);
    assert_int_equal(prefix_tree_add(&tree, 40, 12, &error), STATUS_NO);
    assert_int_equal(prefix_tree_add(&tree, 0, 1, &error), STATUS_NO);
    assert_int_equal(prefix_tree_add(&tree, 5000, 4000, &error), STATUS_NO);
    assert_int_equal(prefix_tree_add(&tree, MAX_PREFIX_NODES, 0, &error), STATUS_NO);
    prefix_tree_free(&tree);
}

/* Least recently used goes first, deeper pieces before those that they rest on. */
static void the_oldest_goes_first(void **state)
{
    PrefixTree tree;
    Error error;
    (void)state;
    plant(&tree);
    PrefixCache cache = {.tree = &tree, .piece_blocks = 2};
    assert_int_equal(prefix_cache_follow(&cache, &error), STATUS_OK);
    assert_int_equal(prefix_cache_hit(&cache, 40), 0);
    assert_int_equal(prefix_cache_unused(&cache, 40), 8);
    assert_int_equal(prefix_cache_take(&cache, 40), 8);
    assert_int_equal(prefix_cache_take(&cache, 13), 0); /* the same three pieces */
    assert_int_equal(prefix_cache_hit(&cache, 40), 0);  /* nobody has read them */
    prefix_cache_computed(&cache, 40);
    assert_int_equal(prefix_cache_hit(&cache, 41), 3 * PIECE);
    assert_int_equal(prefix_cache_unused(&cache, 41), 2);
    assert_int_equal(prefix_cache_leave(&cache, 40), 2);
    assert_int_equal(cache.idle_blocks, 2);
    assert_int_equal(prefix_cache_leave(&cache, 13), 6);
    assert_int_equal(cache.idle_blocks, 8);
    assert_int_equal(prefix_cache_take(&cache, 2), 2); /* unread: leaves nothing */
    assert_int_equal(prefix_cache_leave(&cache, 2), 2);
    assert_int_equal(cache.idle_blocks, 8);
    prefix_cache_trim(&cache, 5); /* 40 goes, then 13 */
    assert_int_equal(cache.idle_blocks, 4);
    assert_int_equal(prefix_cache_hit(&cache, 40), 2 * PIECE);
    prefix_cache_trim(&cache, 0);
    assert_int_equal(prefix_cache_hit(&cache, 40), 0);
    assert_int_equal(cache.idle_blocks, 0);
    prefix_cache_free(&cache);
    prefix_tree_free(&tree);
}

/* Sums of the lane against its sequences and pieces. */
static void recount(const Lane *lane)
{
    uint32_t users[NODES] = {0};
    uint64_t blocks = 0, idle = 0;
    for (uint32_t i = lane->oldest; i != UINT32_MAX; i = lane->requests[i].newer) {
        const LaneRequest *request = &lane->requests[i];
        const uint64_t tokens = (uint64_t)request->to_read + lane->step - request->join_step;
        const uint64_t own = tokens - request->shared;
        blocks += lane->limits.admission == ADMIT_WHOLE ? request->held_blocks
                                                        : (own + BLOCK - 1) / BLOCK;
        for (uint32_t node = request->prefix; node != 0;
             node = lane->cache.tree->nodes[node].parent)
            users[node]++;
    }
    for (size_t i = 0; i < lane->reading_count; i++) {
        const size_t at = (lane->reading_first + i) % lane->limits.sequences;
        const LaneRequest *request = &lane->requests[lane->reading[at]];
        blocks += request->held_blocks;
        for (uint32_t node = request->prefix; node != 0;
             node = lane->cache.tree->nodes[node].parent)
            users[node]++;
    }
    for (uint32_t node = 1; node < NODES; node++) {
        const PrefixEntry *entry = &lane->cache.entries[node];
        const uint32_t parent = lane->cache.tree->nodes[node].parent;
        assert_int_equal(entry->users, users[node]);
        if (users[node] > 0)
            blocks += PIECE / BLOCK;
        else if (entry->computed)
            idle += PIECE / BLOCK;
        /* What is there rests on what is there. */
        if (entry->computed && parent != 0)
            assert_true(lane->cache.entries[parent].computed);
    }
    assert_int_equal(blocks, lane->blocks_used);
    assert_int_equal(idle, lane->cache.idle_blocks);
}

static void memory_is_shared_exactly(void **state)
{
    PrefixTree tree;
    (void)state;
    plant(&tree);
    for (size_t i = 0; i < 8; i++) {
        enum { REQUESTS = 600 };
        const LaneLimits limits = {.batching = i % 2 ? BATCH_PREFILL_FIRST : BATCH_DECODE_FIRST,
                                   .admission = i / 2 % 2 ? ADMIT_WHOLE : ADMIT_PROMPT,
                                   .block_tokens = BLOCK,
                                   .iteration_tokens = 256,
                                   .prompt_tokens = 200,
                                   .sequences = 24,
                                   .blocks = 48,
                                   .host_blocks = i < 4 ? 0 : 20};
        RandomStream stream = random_stream(4, "requests", i);
        Lane lane;
        Error error;
        size_t ended = 0;
        const LaneSink sink = {.finished = ignore, .context = &ended};
        WaitingLine line = {.most = REQUESTS};
        assert_int_equal(lane_init(&lane, &limits, &error), STATUS_OK);
        lane.cache.tree = &tree;
        lane.cache.piece_blocks = PIECE / BLOCK;
        assert_int_equal(prefix_cache_follow(&lane.cache, &error), STATUS_OK);
        for (size_t r = 0; r < REQUESTS; r++) {
            const uint32_t leaf = (uint32_t)(random_uniform(&stream) * NODES);
            const uint32_t shared = tree.nodes[leaf].depth * PIECE;
            /* Now and then the whole prompt is a shared one. */
            const uint32_t own = (uint32_t)(random_uniform(&stream) * 8) * (leaf != 0 ? 10 : 20);
            const QueuedRequest request = {.first_s = -1,
                                           .prompt = shared + own > 0 ? shared + own : 1,
                                           .output = 1 + (uint32_t)(random_uniform(&stream) * 200),
                                           .prefix = leaf};
            assert_int_equal(waiting_push(&line, &request, &error), STATUS_OK);
        }
        for (size_t n = 0; lane_has_work(&lane, &line); n++) {
            PassLoad load;
            assert_true(n < 1000000);
            assert_int_equal(lane_plan(&lane, &line, &load, &error), STATUS_OK);
            assert_true(lane.blocks_used + lane.cache.idle_blocks <= limits.blocks);
            lane_finish(&lane, lane_repeats(&lane), (double)n, &sink);
            recount(&lane);
        }
        assert_int_equal(ended, REQUESTS);
        assert_int_equal(lane.blocks_used, 0);
        assert_true(lane.cache.hit_tokens > 0.05 * lane.cache.asked_tokens);
        assert_true(lane.cache.hit_tokens < lane.cache.asked_tokens);
        lane_free(&lane);
        waiting_free(&line);
    }
    prefix_tree_free(&tree);
}

/* Ranks as often as Zipf's law has it, within 4 standard errors. */
static void popularity_is_zipf(void **state)
{
    enum { COUNT = 20, DRAWS = 100000 };
    static const double EXPONENTS[] = {0, 0.7, 1, 1.6};
    Scenario *scenario = malloc(sizeof *scenario);
    (void)state;
    assert_non_null(scenario);
    serving_scenario(scenario);
    scenario->serving.prefix_tokens = 100;
    scenario->serving.prefixes = COUNT;
    for (size_t e = 0; e < sizeof EXPONENTS / sizeof *EXPONENTS; e++) {
        double counts[COUNT + 1] = {0}, sum = 0;
        scenario->serving.prefix_exponent = EXPONENTS[e];
        scenario->serving.prefix_share = 0.6;
        ArrivalStream stream = arrivals_drawn(scenario, 1, DRAWS, 9);
        for (int more = 1; more;) {
            Arrival arrival;
            Error error;
            assert_int_equal(arrivals_next(&stream, &arrival, &more, &error), STATUS_OK);
            if (!more)
                break;
            counts[arrival.prefix]++;
            assert_true(arrival.prefix == 0 || arrival.prompt > 100);
        }
        assert_near(counts[0] / DRAWS, 0.4, 4 * sqrt(0.24 / DRAWS));
        for (size_t rank = 1; rank <= COUNT; rank++)
            sum += pow((double)rank, -EXPONENTS[e]);
        for (size_t rank = 1; rank <= COUNT; rank++) {
            const double p = 0.6 * pow((double)rank, -EXPONENTS[e]) / sum;
            assert_near(counts[rank] / DRAWS, p, 4 * sqrt(p * (1 - p) / DRAWS));
        }
    }
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_keeps_its_shape),
        cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(memory_is_shared_exactly),
        cmocka_unit_test(popularity_is_zipf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

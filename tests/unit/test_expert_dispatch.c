/* Dispatch of tokens to experts and the way back: closed forms on a machine in round numbers, what
 * happens where nothing was fitted, and what must hold for any size. */
#include "tests/unit/shipped.h"

#include "hw/collective.h"
#include "hw/expert_dispatch.h"

#include <math.h>

/* One 10 GB/s port a GPU; 1 GB/s a multiprocessor; NVLink far above. */
static HardwareSpec round_machine(void)
{
    const CollectiveFit inside = {
        .base_s = 5e-6, .per_rank_s = 1e-6, .bytes_per_s = 100e9, .chunk_s2_per_byte = 1e-16};
    const ExpertNodeFit node = {.low_latency_start_s = 10e-6,
                                .low_latency_bytes_per_s = 50e9,
                                .start_s = 30e-6,
                                .sm_bytes_per_s = 1e9,
                                .chunk_s2_per_byte = 4e-16};
    const ExpertFabricFit fabric = {.low_latency_start_s = 15e-6,
                                    .low_latency_hop_s = 4e-6,
                                    .low_latency_efficiency = 0.8,
                                    .start_s = 25e-6,
                                    .hop_s = 20e-6,
                                    .efficiency = 0.9,
                                    .sm_bytes_per_s = 0.5e9,
                                    .chunk_s2_per_byte = 9e-16};
    HardwareSpec machine = {
        .node = {.gpus = 8,
                 .nics = 8,
                 .nic_bytes_per_s = 10e9,
                 .all_reduce = inside,
                 .all_gather = inside,
                 .reduce_scatter = inside,
                 .all_to_all = inside,
                 .expert_dispatch = node,
                 .expert_combine = node},
        .fabric = {.efficiency = 0.9,
                   .ring_hop_s = 20e-6,
                   .base_s = 8e-6,
                   .p2p_efficiency = 0.5,
                   .oversubscription = 1,
                   .expert_dispatch = fabric,
                   .expert_combine = fabric},
    };
    machine.node.expert_combine.start_s = 60e-6;
    machine.fabric.expert_combine.start_s = 50e-6;
    return machine;
}

static const ExpertExchange EXCHANGE = {
    .token_bytes = 1e6, .copies = 8, .ranks = 8, .ranks_per_node = 8, .sms = 20};

static void places(void **state)
{
    (void)state;
    /* DeepSeek-V3: 8 copies to at most 4 nodes reach 3.6 of them; many places: as many as copies.
     */
    assert_near(expert_places(4, 8), 4 * (1 - pow(0.75, 8)), 1e-12);
    assert_near(expert_places(1, 8), 1, 0);
    assert_near(expert_places(1e9, 8), 8, 1e-5);
}

static void inside_a_node(void **state)
{
    (void)state;
    const HardwareSpec machine = round_machine();
    /* 8 (1 - (7/8)^8) ranks hold experts of a token, 7 of 8 of them others; 20 GB/s. */
    const double bytes = 1e6 * 8 * (1 - pow(7.0 / 8, 8)) * 7 / 8;
    const double expected = 30e-6 + bytes / 20e9 + sqrt(4e-16 * bytes);
    assert_near(expert_exchange_seconds(&machine, EXPERT_DISPATCH, &EXCHANGE), expected, 1e-12);
    assert_near(expert_exchange_seconds(&machine, EXPERT_COMBINE, &EXCHANGE), expected + 30e-6,
                1e-12);
    /* More multiprocessors than NVLink needs. */
    ExpertExchange many = EXCHANGE;
    many.sms = 500;
    assert_near(expert_exchange_seconds(&machine, EXPERT_DISPATCH, &many),
                30e-6 + bytes / 100e9 + sqrt(4e-16 * bytes), 1e-12);
    assert_near(expert_low_latency_seconds(&machine, EXPERT_DISPATCH, &EXCHANGE),
                10e-6 + 8e6 / 50e9, 1e-12);
}

static void across_nodes(void **state)
{
    (void)state;
    const HardwareSpec machine = round_machine();
    ExpertExchange exchange = EXCHANGE;
    exchange.ranks = 64;
    exchange.node_limit = 4;
    /* To 4 (1 - (3/4)^8) nodes, 7 of 8 of them others, at 9 GB/s; three doublings. */
    const double remote = 1e6 * 4 * (1 - pow(0.75, 8)) * 7 / 8;
    const double rest = 25e-6 + 3 * 20e-6 + sqrt(9e-16 * remote);
    exchange.sms = 200;
    assert_near(expert_exchange_seconds(&machine, EXPERT_DISPATCH, &exchange), rest + remote / 9e9,
                1e-12);
    /* Few multiprocessors: what they pass on inside the nodes is the bound. */
    exchange.sms = 4;
    const double passed = 1e6 * 32 * (1 - pow(31.0 / 32, 8)) * 7 / 8;
    assert_near(expert_exchange_seconds(&machine, EXPERT_DISPATCH, &exchange), rest + passed / 2e9,
                1e-12);
    /* Low latency: every copy that leaves the node, at 8 GB/s. */
    assert_near(expert_low_latency_seconds(&machine, EXPERT_DISPATCH, &exchange),
                15e-6 + 3 * 4e-6 + 8e6 * 7 / 8 / 8e9, 1e-12);
}

/* Without a fit, the all-to-all of what crosses, or of all copies inside, the slower. */
static void nothing_fitted(void **state)
{
    (void)state;
    HardwareSpec machine = round_machine();
    const ExpertNodeFit no_node = {0};
    const ExpertFabricFit no_fabric = {0};
    machine.node.expert_dispatch = no_node;
    machine.fabric.expert_dispatch = no_fabric;
    ExpertExchange exchange = EXCHANGE;
    assert_near(expert_exchange_seconds(&machine, EXPERT_DISPATCH, &exchange),
                collective_seconds(&machine, COLLECTIVE_ALL_TO_ALL, 8e6, 8, 8), 0);
    exchange.ranks = 32;
    const double nodes = 4 * (1 - pow(0.75, 8));
    assert_near(expert_exchange_seconds(&machine, EXPERT_DISPATCH, &exchange),
                collective_seconds(&machine, COLLECTIVE_ALL_TO_ALL, nodes * 1e6, 32, 8), 1e-15);
    machine.node.nic_bytes_per_s = 1e15;
    exchange.token_bytes = 1e9;
    assert_near(expert_exchange_seconds(&machine, EXPERT_DISPATCH, &exchange),
                collective_seconds(&machine, COLLECTIVE_ALL_TO_ALL, 8e9, 8, 8), 1e-15);
    assert_near(expert_low_latency_seconds(&machine, EXPERT_DISPATCH, &exchange),
                collective_seconds(&machine, COLLECTIVE_ALL_TO_ALL, 8e9, 32, 8), 1e-15);
    /* Nothing to do. */
    exchange.ranks = 1;
    assert_near(expert_exchange_seconds(&machine, EXPERT_DISPATCH, &exchange), 0, 0);
    exchange = EXCHANGE;
    exchange.token_bytes = 0;
    assert_near(expert_low_latency_seconds(&machine, EXPERT_COMBINE, &exchange), 0, 0);
}

/* On shipped hardware: more tokens and more experts a token never take less time, more
 * multiprocessors never more; sending a token once to a node is not slower than every copy. */
static void monotonic(void **state)
{
    (void)state;
    const char *const names[] = {"h100-ndr", "h800-ndr", "h200-ndr", "b200-ndr", "a100-80g-hdr"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const HardwareSpec machine = shipped_hardware(names[i]);
        for (double nodes = 1; nodes <= 16; nodes *= 2)
            for (double bytes = 7168; bytes < 1e10; bytes *= 8)
                for (int way = EXPERT_DISPATCH; way <= EXPERT_COMBINE; way++) {
                    const ExpertDirection direction = (ExpertDirection)way;
                    ExpertExchange more = {.token_bytes = bytes,
                                           .copies = 4,
                                           .ranks = 8 * nodes,
                                           .ranks_per_node = 8,
                                           .sms = 20};
                    const double now = expert_exchange_seconds(&machine, direction, &more);
                    more.sms = 24;
                    assert_true(expert_exchange_seconds(&machine, direction, &more) <= now);
                    more.sms = 20;
                    more.copies = 8;
                    assert_true(expert_exchange_seconds(&machine, direction, &more) >= now);
                    more.copies = 4;
                    more.token_bytes = 2 * bytes;
                    assert_true(expert_exchange_seconds(&machine, direction, &more) > now);
                    if (nodes > 2 && bytes > 1e8)
                        assert_true(now < collective_seconds(&machine, COLLECTIVE_ALL_TO_ALL,
                                                             4 * bytes, 8 * nodes, 8));
                }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places),       cmocka_unit_test(inside_a_node),
        cmocka_unit_test(across_nodes), cmocka_unit_test(nothing_fitted),
        cmocka_unit_test(monotonic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

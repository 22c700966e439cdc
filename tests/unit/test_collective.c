/* Collectives: closed forms and published bus bandwidths; test_collective_validation.c holds them
 * against published times. */
#include "tests/unit/shipped.h"

#include "hw/collective.h"

#include <math.h>

static void wire_factors(void **state)
{
    (void)state;
    for (double n = 2; n <= 8192; n *= 2) {
        assert_near(collective_wire_factor(COLLECTIVE_ALL_REDUCE, n), 2 * (n - 1) / n, 1e-15);
        assert_near(collective_wire_factor(COLLECTIVE_ALL_GATHER, n), (n - 1) / n, 1e-15);
        assert_near(collective_wire_factor(COLLECTIVE_REDUCE_SCATTER, n), (n - 1) / n, 1e-15);
        assert_near(collective_wire_factor(COLLECTIVE_ALL_TO_ALL, n), (n - 1) / n, 1e-15);
    }
    assert_near(collective_wire_factor(COLLECTIVE_ALL_REDUCE, 1), 0, 0);
}

/* A machine in round numbers: 100 GB/s inside, one port of 10 GB/s a GPU outside. */
static HardwareSpec round_machine(void)
{
    const CollectiveFit inside = {.base_s = 5e-6,
                                  .per_rank_s = 1e-6,
                                  .bytes_per_s = 100e9,
                                  .chunk_s2_per_byte = 1e-16,
                                  .two_rank_bandwidth = 0.8};
    return (HardwareSpec){
        .node = {.gpus = 8,
                 .nics = 8,
                 .nic_bytes_per_s = 10e9,
                 .all_reduce = inside,
                 .all_gather = inside,
                 .reduce_scatter = inside,
                 .all_to_all = inside,
                 .eager_launch_s = 10e-6},
        .fabric = {.efficiency = 0.9,
                   .ring_hop_s = 20e-6,
                   .base_s = 8e-6,
                   .p2p_latency_s = 30e-6,
                   .p2p_efficiency = 0.5,
                   .oversubscription = 1},
    };
}

static void closed_forms(void **state)
{
    (void)state;
    HardwareSpec machine = round_machine();
    const double bytes = 1e9;

    /* Inside: launch + base + 7 ranks + W / B + sqrt(c W), W = 1.75e9. Two ranks reach 0.8 of B, so
     * that what a rank moves of its own costs a quarter of the wire's time there, a 28th of it with
     * eight. */
    double expected = 10e-6 + 5e-6 + 7e-6 + (1 + 0.25 / 7) * 1.75e9 / 100e9 + sqrt(1e-16 * 1.75e9);
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_REDUCE, bytes, 8, 8), expected, 1e-12);
    expected = 10e-6 + 5e-6 + 1e-6 + 0.5e9 / 80e9 + sqrt(1e-16 * 0.5e9);
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, bytes, 2, 2), expected, 1e-12);

    /* One rank in each of 16 nodes: a ring of 15 hops at one port. */
    const double ring = 15.0 / 16 * bytes;
    expected = 10e-6 + 8e-6 + 15 * 20e-6 + ring / 9e9 + sqrt(1e-16 * ring);
    assert_near(collective_seconds(&machine, COLLECTIVE_REDUCE_SCATTER, bytes, 16, 1), expected,
                1e-12);

    /* 8 in each of 4 nodes: 8 ports, 3 hops between nodes, 28 inside. */
    const double flat = 31.0 / 32 * bytes;
    expected = 10e-6 + 8e-6 + 3 * 20e-6 + 28e-6 + flat / 72e9 + sqrt(1e-16 * flat);
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, bytes, 32, 8), expected, 1e-12);
    /* Oversubscription takes ports away; a fat network leaves NVLink as the bound. */
    machine.fabric.oversubscription = 2;
    expected += flat / 36e9 - flat / 72e9;
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, bytes, 32, 8), expected, 1e-12);
    machine.fabric.oversubscription = 1;
    machine.node.nic_bytes_per_s = 1e12;
    expected += flat / 100e9 - flat / 36e9;
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, bytes, 32, 8), expected, 1e-12);

    /* Nothing to do. */
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_REDUCE, bytes, 1, 1), 0, 0);
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_REDUCE, 0, 8, 8), 0, 0);
}

/* Up to 64 KiB: launch + base + 7 ranks + sqrt(c' W); beyond, a later start, and never less than
 * the longest short message takes. */
static void protocols(void **state)
{
    (void)state;
    HardwareSpec machine = round_machine();
    CollectiveFit *fit = &machine.node.all_gather;
    fit->short_bytes = 65536;
    fit->short_chunk_s2_per_byte = 1e-15;
    fit->long_start_s = 3e-6;
    const double short_wire = 65536 * 7.0 / 8, long_wire = 1e8 * 7 / 8;
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, 65536, 8, 8),
                22e-6 + sqrt(1e-15 * short_wire), 1e-12);
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, 1e8, 8, 8),
                25e-6 + (1 + 0.25 / 7) * long_wire / 100e9 + sqrt(1e-16 * long_wire), 1e-12);
    fit->short_chunk_s2_per_byte = 1e-12;
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, 65537, 8, 8),
                22e-6 + sqrt(1e-12 * short_wire), 1e-12);
    /* Other collectives keep to theirs. */
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_TO_ALL, 65536, 8, 8),
                22e-6 + (1 + 0.25 / 7) * short_wire / 100e9 + sqrt(1e-16 * short_wire), 1e-12);
}

/* A fabric's own c counts once for each level of the tree. */
static void pipelines_grow_with_the_tree(void **state)
{
    (void)state;
    HardwareSpec machine = round_machine();
    const double wire = 2 * 63.0 / 64 * 1e9;
    double plain = collective_seconds(&machine, COLLECTIVE_ALL_REDUCE, 1e9, 64, 8);
    machine.fabric.chunk_s2_per_byte = 1e-14;
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_REDUCE, 1e9, 64, 8),
                plain - sqrt(1e-16 * wire) + sqrt(3e-14 * wire), 1e-12);
    /* Only all-reduces have trees. */
    plain = collective_seconds(&machine, COLLECTIVE_ALL_GATHER, 1e9, 64, 8);
    machine.fabric.chunk_s2_per_byte = 0;
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, 1e9, 64, 8), plain, 0);
}

static void trees_take_over_from_rings(void **state)
{
    (void)state;
    HardwareSpec machine = round_machine();
    machine.node.eager_launch_s = 0;
    const double ring = collective_seconds(&machine, COLLECTIVE_ALL_REDUCE, 1, 1024, 1);
    machine.fabric.tree_hop_s = 60e-6;
    const double tree = collective_seconds(&machine, COLLECTIVE_ALL_REDUCE, 1, 1024, 1);
    assert_near(ring, 8e-6 + 2 * 1023 * 20e-6, 1e-6);
    assert_near(tree, 8e-6 + 10 * 60e-6, 1e-6);
    /* Only all-reduces have trees. */
    assert_near(collective_seconds(&machine, COLLECTIVE_ALL_GATHER, 1, 1024, 1),
                8e-6 + 1023 * 20e-6, 1e-6);
}

static void sends(void **state)
{
    (void)state;
    HardwareSpec machine = round_machine();
    /* A port at half its rate; 16 ports for 8 GPUs give each twice as much, 4 half. */
    assert_near(p2p_seconds(&machine, 1e6, 0), 30e-6 + 1e6 / 5e9, 1e-12);
    machine.node.nics = 16;
    assert_near(p2p_seconds(&machine, 1e6, 0), 30e-6 + 1e6 / 10e9, 1e-12);
    machine.node.nics = 4;
    assert_near(p2p_seconds(&machine, 1e6, 0), 30e-6 + 1e6 / 2.5e9, 1e-12);
    assert_near(p2p_seconds(&machine, 1e6, 1), 5e-6 + 1e6 / 100e9, 1e-12);
    assert_near(p2p_seconds(&machine, 0, 0), 0, 0);
}

/* Bus bandwidth in GB/s of a 16 GiB message. */
static double bus_bandwidth(const char *hardware, Collective collective, double ranks,
                            double per_node)
{
    const HardwareSpec spec = shipped_hardware(hardware);
    const double bytes = 16.0 * 1024 * 1024 * 1024;
    return collective_wire_factor(collective, ranks) * bytes /
           collective_seconds(&spec, collective, bytes, ranks, per_node) / 1e9;
}

static void published_bus_bandwidths(void **state)
{
    (void)state;
    /* NVIDIA GTC24-S62129, GTC25-S72583: peak bus bandwidths on 4 nodes. The fabric's efficiency is
     * the middle of 0.94 +- 0.03, so 4% covers its range. */
    const struct {
        const char *hardware;
        Collective collective;
        double ranks, per_node, published;
    } rows[] = {
        {"a100-80g-hdr", COLLECTIVE_ALL_REDUCE, 32, 8, 192},
        {"h100-ndr", COLLECTIVE_ALL_REDUCE, 32, 8, 370},
        {"a100-80g-hdr", COLLECTIVE_ALL_REDUCE, 4, 1, 24},
        {"h100-ndr", COLLECTIVE_ALL_REDUCE, 4, 1, 48},
        {"a100-80g-hdr", COLLECTIVE_ALL_TO_ALL, 32, 8, 24},
        {"h100-ndr", COLLECTIVE_ALL_TO_ALL, 32, 8, 48},
        {"a100-80g-hdr", COLLECTIVE_ALL_REDUCE, 8, 8, 235},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double got =
            bus_bandwidth(rows[i].hardware, rows[i].collective, rows[i].ranks, rows[i].per_node);
        print_message("  %s, %g ranks, %g a node: %.1f GB/s, published %g\n", rows[i].hardware,
                      rows[i].ranks, rows[i].per_node, got, rows[i].published);
        assert_near(got, rows[i].published, 0.04 * rows[i].published);
    }
}

/* More bytes never take less time, more nodes never do, and more ports never take more. */
static void monotonic(void **state)
{
    (void)state;
    HardwareSpec spec = shipped_hardware("h100-ndr");
    for (int collective = 0; collective < 4; collective++)
        for (double nodes = 2; nodes <= 512; nodes *= 2)
            for (double bytes = 1024; bytes < 2e10; bytes *= 16) {
                const double now =
                    collective_seconds(&spec, (Collective)collective, bytes, 8 * nodes, 8);
                assert_true(collective_seconds(&spec, (Collective)collective, 2 * bytes, 8 * nodes,
                                               8) > now);
                assert_true(
                    collective_seconds(&spec, (Collective)collective, bytes, 16 * nodes, 8) >= now);
                HardwareSpec wider = spec;
                wider.node.nics *= 2;
                assert_true(
                    collective_seconds(&wider, (Collective)collective, bytes, 8 * nodes, 8) <= now);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_factors),
        cmocka_unit_test(closed_forms),
        cmocka_unit_test(protocols),
        cmocka_unit_test(pipelines_grow_with_the_tree),
        cmocka_unit_test(trees_take_over_from_rings),
        cmocka_unit_test(sends),
        cmocka_unit_test(published_bus_bandwidths),
        cmocka_unit_test(monotonic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The shipped hardware: data-sheet figures, and what must hold between relatives. */
#include "tests/unit/shipped.h"

#include "hw/collective.h"
#include "hw/gemm.h"

#include <math.h>

/* Dense peaks in TFLOP/s, memory in GB/s, from the data sheets. */
static void data_sheets(void **state)
{
    (void)state;
    const struct {
        const char *name;
        double bf16, fp8, int8, bandwidth, watts;
    } rows[] = {
        {"v100-sxm2-32g", 125, 0, 0, 898, 300},     {"a100-sxm-40g", 312, 0, 624, 1555, 400},
        {"a100-sxm-80g", 312, 0, 624, 2039, 400},   {"a800-sxm", 311.8, 0, 624, 2040, 400},
        {"h100-sxm", 989.4, 1979, 1979, 3350, 700}, {"h800-sxm", 989, 1979, 1979, 3360, 700},
        {"h20", 148, 296, 296, 4000, 400},          {"h200-sxm", 989.5, 1979, 1979, 4800, 700},
        {"b200-sxm", 2250, 4500, 4500, 8000, 1000}, {"gb200", 2500, 5000, 5000, 8000, 1200},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const GpuSpec gpu = shipped_gpu(rows[i].name);
        assert_near(gpu.peak_bf16_flops_per_s / 1e12, rows[i].bf16, 1e-6);
        assert_near(gpu.peak_fp8_flops_per_s / 1e12, rows[i].fp8, 1e-6);
        assert_near(gpu.peak_int8_flops_per_s / 1e12, rows[i].int8, 1e-6);
        assert_near(gpu.memory_bytes_per_s / 1e9, rows[i].bandwidth, 1e-6);
        assert_near(gpu.tdp_w, rows[i].watts, 1e-6);
        /* A large product reaches 60 to 90% of the peak on all of them. */
        const double seconds = gpu_gemm_seconds(&gpu, PRECISION_BF16, 8192, 8192, 8192);
        const double reached = 2 * pow(8192, 3) / seconds / gpu.peak_bf16_flops_per_s;
        print_message("  %s: %.0f%% of peak at 8192^3\n", rows[i].name, 100 * reached);
        assert_true(reached > 0.6 && reached < 0.9);
    }
}

/* Every shipped cluster is complete: collectives take a time, more over the network than inside a
 * node. */
static void clusters(void **state)
{
    (void)state;
    const char *const names[] = {"v100-32g-edr",   "a100-40g-hdr", "a100-80g-hdr", "a100-40g-efa",
                                 "a100-80g-efa",   "a800-80g-hdr", "h100-ndr",     "h100-efa",
                                 "h100-roce",      "h800-ndr",     "h20-ndr",      "h200-ndr",
                                 "h200-efa",       "b200-ndr",     "b200-efa",     "gb200-nvl72",
                                 "gh200-slingshot"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const HardwareSpec hardware = shipped_hardware(names[i]);
        for (int kind = COLLECTIVE_ALL_REDUCE; kind <= COLLECTIVE_ALL_TO_ALL; kind++) {
            const Collective collective = (Collective)kind;
            const double near_s = collective_seconds(&hardware, collective, 1e8, 8, 8);
            const double far_s = collective_seconds(&hardware, collective, 1e8, 16, 8);
            assert_true(near_s > 0 && isfinite(near_s));
            assert_true(far_s > near_s);
        }
        assert_true(p2p_seconds(&hardware, 1e6, 0) > p2p_seconds(&hardware, 1e6, 1));
    }
}

static double bus_gb_per_s(const char *name, double ranks)
{
    HardwareSpec hardware = shipped_hardware(name);
    const double bytes = 16e9;
    return collective_wire_factor(COLLECTIVE_ALL_REDUCE, ranks) * bytes /
           collective_seconds(&hardware, COLLECTIVE_ALL_REDUCE, bytes, ranks, 8) / 1e9;
}

/* Published bus bandwidths of large all-reduces (sources in configs/hw), within a tenth: NVLink of
 * the V100 122, of the H800 215 GB/s; between nodes with EFA v1 78 of 2 nodes, v3 365 and v4 382 of
 * 4. */
static void published_bus_bandwidths(void **state)
{
    (void)state;
    const struct {
        const char *name;
        double ranks, published;
    } rows[] = {{"v100-32g-edr", 8, 122},
                {"h800-ndr", 8, 215},
                {"a100-80g-efa", 16, 78},
                {"h200-efa", 32, 365},
                {"b200-efa", 32, 382}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double got = bus_gb_per_s(rows[i].name, rows[i].ranks);
        print_message("  %s, %g GPUs: %.0f GB/s, published %.0f\n", rows[i].name, rows[i].ranks,
                      got, rows[i].published);
        assert_near(got, rows[i].published, 0.1 * rows[i].published);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_sheets),
        cmocka_unit_test(clusters),
        cmocka_unit_test(published_bus_bandwidths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

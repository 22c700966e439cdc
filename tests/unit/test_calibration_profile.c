/* Profiles: written, read back as a part of a scenario, used by hw, and refused for any device but
 * the one that was measured. And the published tables, predicted one model at a time. */
#include "tests/unit/shipped.h"

#include "hw/calibration/profile.h"
#include "hw/evidence.h"
#include "hw/gemm.h"
#include "hw/moe_layer.h"
#include "sim/planning/calibration.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <unistd.h>

static const CalCurve GEMM = {{5e-6, 2e12, 5e14, 2}};

/* Points of matrix products straight from a curve, as a device of the catalogue calls itself. */
static void make_points(CalClass device_class, const char *device, CalPoints *points)
{
    static const double WIDTHS[][2] = {{4096, 4096}, {1024, 8192}, {14336, 4096}};
    *points = (CalPoints){.measured = 1, .sentinel_drift = -1};
    points->provenance.device_class = device_class;
    snprintf(points->provenance.device, sizeof points->provenance.device, "%s", device);
    points->samples = calloc(64, sizeof *points->samples);
    assert_non_null(points->samples);
    for (size_t s = 0; s < 3; ++s)
        for (double m = 1; m <= 8192; m *= 4) {
            CalSample *sample = &points->samples[points->count++];
            CalPoint *point = &sample->point;
            snprintf(sample->device, sizeof sample->device, "%s", device);
            snprintf(point->dtype, sizeof point->dtype, "bf16");
            snprintf(point->impl, sizeof point->impl, "loop");
            point->op = CAL_GEMM;
            point->m = m, point->n = WIDTHS[s][0], point->k = WIDTHS[s][1];
            point->flops = 2 * m * point->n * point->k;
            point->bytes = 2 * (m * point->k + point->n * point->k + m * point->n);
            const CalWork work = cal_point_work(point);
            point->us_med = 1e6 * cal_curve_seconds(&GEMM, &work);
        }
}

/* The profile's file; its path in `path`. */
static void write_profile(CalClass device_class, const char *device, const char *name, char *path,
                          size_t path_bytes)
{
    MeasuredDevices *devices = calloc(1, sizeof *devices);
    Calibration *calibration = calloc(1, sizeof *calibration);
    ConfigPaths paths;
    Error error = {0};
    gsl_set_error_handler_off();
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(measured_devices_start(devices, &paths, &error), STATUS_OK);
    make_points(device_class, device, &calibration->points);
    if (calibration_fit(calibration, devices, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(calibration->profile_count, 1);
    snprintf(path, path_bytes, "/tmp/flopcast-profile-%ld-%s.yaml", (long)getpid(), name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    cal_profile_write(out, &calibration->points, &calibration->fits, calibration->hw_of_fit,
                      &calibration->profiles[0], "test", "2026-01-01T00:00:00Z");
    fclose(out);
    calibration_free(calibration);
    measured_devices_free(devices);
    free(calibration);
    free(devices);
}

/* A GPU of the catalogue with the profile beside it. */
static Status read_gpu(const char *gpu, const char *profile, GpuSpec *spec, ErrorList *errors)
{
    char set[512];
    const char *sets[] = {set};
    ConfigPaths paths;
    Scenario *scenario = calloc(1, sizeof *scenario);
    Error error;
    snprintf(set, sizeof set, "hardware.gpu.calibration=%s", profile);
    *errors = (ErrorList){0};
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    const Status status = part_read(&paths, "hw", gpu, sets, 1, scenario, NULL, NULL, errors);
    *spec = scenario->hardware.gpu;
    free(scenario);
    return status;
}

static void a_profile_takes_the_place_of_the_catalogue(void **state)
{
    (void)state;
    char path[128];
    GpuSpec gpu;
    ErrorList *errors = calloc(1, sizeof *errors);
    write_profile(CAL_GPU, "NVIDIA H100 80GB HBM3", "h100", path, sizeof path);
    if (read_gpu("h100-sxm", path, &gpu, errors) != STATUS_OK)
        fail_msg("%s", errors->errors[0].message);
    unlink(path);
    assert_int_equal(gpu_evidence(&gpu), TIER_MEASURED);
    const double m = 300, n = 5120, k = 2560;
    const CalWork work = {.flops = 2 * m * n * k, .bytes = 2 * (m * k + n * k + m * n)};
    const double expected = cal_curve_seconds(&GEMM, &work);
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_BF16, m, n, k) / expected, 1, 1e-3);
    const GpuSpec plain = shipped_hardware("h100-ndr").gpu;
    assert_int_equal(gpu_evidence(&plain), TIER_PUBLISHED);
    /* kind by kind: this profile has products, and nothing else */
    static const EvidenceTier WITH[EVIDENCE_KINDS] = {TIER_MEASURED,  TIER_PUBLISHED,
                                                      TIER_PUBLISHED, TIER_PUBLISHED,
                                                      TIER_PUBLISHED, TIER_DATASHEET};
    for (int kind = 0; kind < EVIDENCE_KINDS; ++kind) {
        EvidenceTier tier;
        assert_true(gpu_evidence_of(&gpu, (EvidenceKind)kind, &tier));
        assert_int_equal(tier, WITH[kind]);
        assert_true(gpu_evidence_of(&plain, (EvidenceKind)kind, &tier));
        assert_int_equal(tier, kind == EVIDENCE_GEMM ? TIER_PUBLISHED : WITH[kind]);
    }
    const GpuSpec a100 = shipped_gpu("a100-sxm-80g");
    EvidenceTier none;
    assert_false(gpu_evidence_of(&a100, EVIDENCE_GEMM_FP8, &none));
    /* what was not measured stays the catalogue's */
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_FP8, m, n, k),
                gpu_gemm_seconds(&plain, PRECISION_FP8, m, n, k), 1e-12);
    free(errors);
}

static void a_profile_serves_no_other_device(void **state)
{
    (void)state;
    char gpu_path[128], cpu_path[128];
    GpuSpec gpu;
    ErrorList *errors = calloc(1, sizeof *errors);
    write_profile(CAL_GPU, "NVIDIA H100 80GB HBM3", "other", gpu_path, sizeof gpu_path);
    write_profile(CAL_CPU, "Some CPU", "cpu", cpu_path, sizeof cpu_path);
    assert_int_equal(read_gpu("h100-sxm", cpu_path, &gpu, errors), STATUS_INVALID);
    assert_non_null(strstr(errors->errors[0].message, "measured on a CPU (Some CPU)"));
    assert_int_equal(read_gpu("cpu", gpu_path, &gpu, errors), STATUS_INVALID);
    assert_non_null(strstr(errors->errors[0].message, "measured on a GPU"));
    assert_int_equal(read_gpu("a100-sxm-80g", gpu_path, &gpu, errors), STATUS_INVALID);
    assert_non_null(strstr(errors->errors[0].message, "not of 'a100-sxm-80g'"));
    assert_int_equal(read_gpu("h100-sxm", "no-such-profile", &gpu, errors), STATUS_USAGE);
    assert_int_equal(read_gpu("cpu", cpu_path, &gpu, errors), STATUS_OK);
    assert_int_equal(gpu.device_class, DEVICE_CPU);
    unlink(gpu_path);
    unlink(cpu_path);
    free(errors);
}

static void a_layer_is_the_sum_of_its_parts(void **state)
{
    (void)state;
    /* 1 byte/s and no arithmetic: seconds are bytes of one-byte elements */
    const MeasuredKernel moves = {.bytes_per_s = 1, .overlap_exponent = 1, .element_bytes = 1};
    CalibrationSpec profile = {.gemm = moves,
                               .moe_gemm = moves,
                               .router = moves,
                               .permute = moves,
                               .activation = moves,
                               .combine = moves,
                               .copy = moves};
    const double rows[] = {3, 0, 5}; /* T 4, k 2, D 10, F 7 */
    const MeasuredLayer layer = {.tokens = 4, .hidden = 10, .inter = 7, .gated = 1};
    const double router = 4 * 10 + 3 * 10 + 2 * 4 * 3, permute = (8 + 4) * 10;
    const double products = 2 * 14 * 10 + 8 * (14 + 10) + 2 * 10 * 7 + 8 * (10 + 7);
    const double activation = 8 * 21, combine = (8 + 4) * 10;
    const double forward = router + permute + products + activation + combine;
    assert_near(gpu_measured_layer_seconds(&profile, &layer, rows, 3), forward, 1e-9);
    MeasuredLayer training = layer;
    training.backward = 1;
    const double backward = 2 * products + 2 * router + (3 * 8 + 4) * 10 + 8 * (2 * 14 + 7) +
                            (8 + 4) * 10 + 1 * 10 * 21;
    assert_near(gpu_measured_layer_seconds(&profile, &training, rows, 3), forward + backward, 1e-9);
    profile.permute = (MeasuredKernel){0};
    assert_near(gpu_measured_layer_seconds(&profile, &layer, rows, 3), 0, 0);
    const double none[] = {0, 0, 0};
    profile.permute = moves;
    assert_near(gpu_measured_layer_seconds(&profile, &layer, none, 3), 0, 0);
}

/* The fits of a table of configs/measurements. */
static void fit_published(const char *name, MeasuredDevices *devices, Calibration *calibration)
{
    static ConfigPaths paths; /* the devices keep it */
    Error error = {0};
    char path[ERROR_PATH_BYTES + 64];
    gsl_set_error_handler_off();
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(measured_devices_start(devices, &paths, &error), STATUS_OK);
    snprintf(path, sizeof path, "%s/measurements/%s", paths.root, name);
    const CalCatalogue catalogue = measured_catalogue(devices);
    if (cal_points_read(path, &catalogue, &calibration->points, &error) != STATUS_OK ||
        calibration_fit(calibration, devices, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static const CalFit *find_fit(const Calibration *calibration, const char *gpu, const char *impl,
                              const char *dtype, double tile_rows)
{
    for (size_t f = 0; f < calibration->fits.count; ++f) {
        const CalFit *fit = &calibration->fits.fits[f];
        if (strcmp(calibration->hw_of_fit[f], gpu) == 0 && strstr(fit->impl, impl) != NULL &&
            strcmp(fit->dtype, dtype) == 0 && fit->tiles.rows == tile_rows)
            return fit;
    }
    fail_msg("no fit of %s in %s on %s", impl, dtype, gpu);
    return NULL;
}

/* Each model predicted by a fit to the others: mean error, and median where the table has rows that
 * are wrong (Mixtral 8x22B cut in eight, 3 to 7 times slower than its neighbours). */
static void published_layers_are_predicted_one_model_at_a_time(void **state)
{
    (void)state;
    static const struct {
        const char *table, *gpu, *impl, *dtype;
        double tile_rows, mean, median;
    } WANTED[] = {
        {"moe_kernels.csv", "h100-sxm", "TRTLLM", "bfloat16", 0, 0.05, 0.05},
        {"moe_kernels.csv", "h100-sxm", "TRTLLM", "fp8_block", 0, 0.12, 0.12},
        {"moe_kernels.csv", "h100-sxm", "VLLM", "bfloat16", 0, 0.12, 0.12},
        {"moe_kernels.csv", "h200-sxm", "VLLM", "bfloat16", 0, 0.12, 0.12},
        {"moe_kernels.csv", "a100-sxm-80g", "SGLang", "bfloat16", 64, 0.12, 0.12},
        {"moe_layers.csv", "h100-sxm", "moe_torch_flow", "bf16", 0, 0.12, 0.05},
        {"moe_layers.csv", "h100-sxm", "moe_torch_flow", "fp8_block", 0, 0.12, 0.05},
        {"moe_layers.csv", "h100-sxm", "sglang", "bf16", 0, 0.12, 0.12},
        {"moe_layers.csv", "h100-sxm", "sglang", "bf16", 64, 0.12, 0.12},
        {"moe_layers.csv", "a100-sxm-80g", "sglang", "bf16", 0, 0.12, 0.12},
        {"moe_layers.csv", "a100-sxm-80g", "sglang", "bf16", 64, 0.12, 0.12},
    };
    MeasuredDevices *devices = calloc(1, sizeof *devices);
    Calibration *calibration = NULL;
    const char *table = "";
    for (size_t i = 0; i < sizeof WANTED / sizeof WANTED[0]; ++i) {
        if (strcmp(table, WANTED[i].table) != 0) {
            if (calibration != NULL) {
                calibration_free(calibration);
                measured_devices_free(devices);
                free(calibration);
            }
            calibration = calloc(1, sizeof *calibration);
            table = WANTED[i].table;
            fit_published(table, devices, calibration);
        }
        const CalFit *fit = find_fit(calibration, WANTED[i].gpu, WANTED[i].impl, WANTED[i].dtype,
                                     WANTED[i].tile_rows);
        assert_true(fit->held_out.n >= 10);
        if (!(fit->held_out.mean_abs < WANTED[i].mean &&
              fit->held_out.median_abs < WANTED[i].median))
            fail_msg("%s %s %s on %s: mean %g, median %g", table, WANTED[i].impl, WANTED[i].dtype,
                     WANTED[i].gpu, fit->held_out.mean_abs, fit->held_out.median_abs);
    }
    calibration_free(calibration);
    measured_devices_free(devices);
    free(calibration);
    free(devices);
}

/* A forecast by the profile of a published layer says what the fit said. */
static void a_published_layer_is_forecast_as_it_was_fitted(void **state)
{
    (void)state;
    MeasuredDevices *devices = calloc(1, sizeof *devices);
    Calibration *calibration = calloc(1, sizeof *calibration);
    char path[128];
    GpuSpec gpu;
    ErrorList *errors = calloc(1, sizeof *errors);
    size_t compared = 0, profile = 0;
    fit_published("moe_kernels.csv", devices, calibration);
    while (strcmp(calibration->profiles[profile].gpu, "a100-sxm-80g") != 0)
        ++profile;
    snprintf(path, sizeof path, "/tmp/flopcast-profile-%ld-layers.yaml", (long)getpid());
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    cal_profile_write(out, &calibration->points, &calibration->fits, calibration->hw_of_fit,
                      &calibration->profiles[profile], "test", "2026-01-01T00:00:00Z");
    fclose(out);
    if (read_gpu("a100-sxm-80g", path, &gpu, errors) != STATUS_OK)
        fail_msg("%s", errors->errors[0].message);
    unlink(path);
    assert_near(gpu.calibration.moe_layer.tiles.rows, 64, 0);
    assert_near(gpu.calibration.moe_layer.tiles.cache_bytes, 40e6, 0);
    for (size_t i = 0; i < calibration->points.count; ++i) {
        const CalPoint *point = &calibration->points.samples[i].point;
        double rows[256];
        if (strstr(point->impl, "SGLang") == NULL || point->m < 2 * point->experts)
            continue;
        const MoeLayerShape shape = {.precision = PRECISION_BF16,
                                     .tokens = point->m,
                                     .hidden = point->k,
                                     .inter = point->n,
                                     .gated = 1};
        for (size_t e = 0; e < (size_t)point->experts; ++e)
            rows[e] = point->m * point->top_k / point->experts;
        const double forecast_s =
            gpu_moe_layer_seconds(&gpu, &gpu.moe_triton_bf16, &shape, rows, (size_t)point->experts);
        assert_near(forecast_s / calibration->fits.predicted[i], 1, 1e-4);
        ++compared;
    }
    assert_true(compared >= 8);
    calibration_free(calibration);
    measured_devices_free(devices);
    free(calibration);
    free(devices);
    free(errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_profile_takes_the_place_of_the_catalogue),
        cmocka_unit_test(a_profile_serves_no_other_device),
        cmocka_unit_test(a_layer_is_the_sum_of_its_parts),
        cmocka_unit_test(published_layers_are_predicted_one_model_at_a_time),
        cmocka_unit_test(a_published_layer_is_forecast_as_it_was_fitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

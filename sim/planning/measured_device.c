#include "sim/planning/measured_device.h"

#include "configs/reader/suggest.h"
#include "sim/planning/kernel_cases.h"
#include "sim/planning/kernel_moe.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Status measured_devices_start(MeasuredDevices *devices, const ConfigPaths *paths, Error *error)
{
    *devices = (MeasuredDevices){.paths = paths};
    Status status = kernel_gpus_read(paths, &devices->names, error);
    if (status == STATUS_OK)
        status = kernel_forms_read(paths, &devices->forms, error);
    return status;
}

void measured_devices_free(MeasuredDevices *devices)
{
    csv_free(&devices->names);
    csv_free(&devices->forms);
    devices->count = 0;
}

/* The line of a GPU's name, or -1. */
static int find_line(const MeasuredDevices *devices, const char *device)
{
    const int gpu = csv_column(&devices->names, "gpu");
    for (size_t i = 0; i < devices->names.row_count; ++i)
        if (fnmatch(devices->names.rows[i].cells[gpu].text, device, 0) == 0)
            return (int)i;
    return -1;
}

Status measured_device_name(MeasuredDevices *devices, CalClass device_class, const char *device,
                            char name[NAME_BYTES], Error *error)
{
    const CsvTable *names = &devices->names;
    const int gpu = csv_column(names, "gpu"), hw = csv_column(names, "hw");
    Suggestion nearest = {.word = device};
    if (device_class == CAL_CPU) {
        snprintf(name, NAME_BYTES, "cpu");
        return STATUS_OK;
    }
    const int line = find_line(devices, device);
    if (line >= 0) {
        snprintf(name, NAME_BYTES, "%.63s", names->rows[line].cells[hw].text);
        return STATUS_OK;
    }
    for (size_t i = 0; i < names->row_count; ++i)
        suggest_offer(&nearest, names->rows[i].cells[gpu].text);
    error_set(error, STATUS_NO, "unknown device '%.40s'%s%.40s%s", device,
              nearest.best != NULL ? ": did you mean '" : "",
              nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    error_hint(error, "devices are named in configs/measurements/kernel_gpus.csv");
    return STATUS_NO;
}

/* The catalogue's entry, read once. */
static Status find_gpu(MeasuredDevices *devices, const char *name, const GpuSpec **gpu,
                       Error *error)
{
    for (size_t i = 0; i < devices->count; ++i)
        if (strcmp(devices->devices[i].name, name) == 0) {
            *gpu = &devices->devices[i].gpu;
            return STATUS_OK;
        }
    if (devices->count == MEASURED_DEVICES)
        return error_set(error, STATUS_NO, "more than %d kinds of devices", MEASURED_DEVICES);
    Scenario *scenario = calloc(1, sizeof *scenario);
    ErrorList *errors = calloc(1, sizeof *errors);
    Status status = STATUS_ENVIRONMENT;
    if (scenario == NULL || errors == NULL) {
        error_set(error, status, "out of memory");
    } else {
        status = part_read(devices->paths, "hw", name, NULL, 0, scenario, NULL, NULL, errors);
        if (status != STATUS_OK && errors->count > 0 && error != NULL)
            *error = errors->errors[0];
    }
    if (status == STATUS_OK) {
        snprintf(devices->devices[devices->count].name, NAME_BYTES, "%s", name);
        devices->devices[devices->count].gpu = scenario->hardware.gpu;
        *gpu = &devices->devices[devices->count++].gpu;
    }
    free(scenario);
    free(errors);
    return status;
}

/* A CalLimitsOf. */
static Status limits_of(void *context, CalClass device_class, const char *device, const char *dtype,
                        CalLimits *limits, Error *error)
{
    MeasuredDevices *devices = context;
    const GpuSpec *gpu = NULL;
    char name[NAME_BYTES];
    *limits = (CalLimits){0};
    if (device_class == CAL_CPU)
        return STATUS_OK;
    Status status = measured_device_name(devices, device_class, device, name, error);
    if (status == STATUS_OK)
        status = find_gpu(devices, name, &gpu, error);
    if (status != STATUS_OK)
        return status;
    limits->bytes_per_s = gpu->memory_bytes_per_s;
    limits->flops_per_s = gpu->peak_bf16_flops_per_s;
    if (strstr(dtype, "8") != NULL) /* fp8, float8, fp8_block, int8: twice the rate of 16 bits */
        limits->flops_per_s =
            gpu->peak_fp8_flops_per_s > 0 ? gpu->peak_fp8_flops_per_s : 2 * limits->flops_per_s;
    return STATUS_OK;
}

/* A CalTilesOf. */
static Status tiles_of(void *context, const char *device, const char *kernel, const char *dtype,
                       double experts, double width, MoeTiles *tiles, Error *error)
{
    MeasuredDevices *devices = context;
    const CsvTable *names = &devices->names;
    const GpuSpec *gpu = NULL;
    char name[NAME_BYTES], shape[64];
    const int cache = csv_column(names, "cache_MB"), line = find_line(devices, device);
    double cache_mb = 0;
    *tiles = (MoeTiles){0};
    Status status = measured_device_name(devices, CAL_GPU, device, name, error);
    if (status == STATUS_OK)
        status = find_gpu(devices, name, &gpu, error);
    if (status != STATUS_OK)
        return status;
    snprintf(shape, sizeof shape, "E=%.0f,N=%.0f", experts, ceil(width));
    const KernelWords words = {
        .kernel = kernel, .dtype = dtype, .source = "", .hw = name, .shape = shape};
    const char *group = kernel_form_find(&devices->forms, &words, "group");
    const MoeLayerFit *fit = group != NULL ? kernel_moe_constants(gpu, group) : NULL;
    if (fit == NULL || !(fit->tile_rows > 0))
        return STATUS_OK;
    if (cache >= 0 && line >= 0)
        (void)csv_number(names->rows[line].cells[cache].text, &cache_mb);
    *tiles = (MoeTiles){.rows = fit->tile_rows,
                        .columns = fit->tile_columns,
                        .few_rows = fit->few_tile_rows,
                        .cache_bytes = 1e6 * cache_mb};
    return STATUS_OK;
}

CalCatalogue measured_catalogue(MeasuredDevices *devices)
{
    return (CalCatalogue){.limits = limits_of, .tiles = tiles_of, .context = devices};
}

#include "sim/planning/measured_device.h"

#include "configs/reader/suggest.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

Status measured_devices_start(MeasuredDevices *devices, const ConfigPaths *paths, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    *devices = (MeasuredDevices){.paths = paths};
    snprintf(path, sizeof path, "%s/measurements/kernel_gpus.csv", paths->root);
    Status status = csv_read(path, &devices->names, error);
    if (status == STATUS_OK &&
        (csv_column(&devices->names, "gpu") < 0 || csv_column(&devices->names, "hw") < 0))
        status = error_set(error, STATUS_INVALID, "'%.200s' has no columns gpu and hw", path);
    return status;
}

void measured_devices_free(MeasuredDevices *devices)
{
    csv_free(&devices->names);
    devices->count = 0;
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
    for (size_t i = 0; i < names->row_count; ++i) {
        const char *pattern = names->rows[i].cells[gpu].text;
        suggest_offer(&nearest, pattern);
        if (fnmatch(pattern, device, 0) != 0)
            continue;
        snprintf(name, NAME_BYTES, "%.63s", names->rows[i].cells[hw].text);
        return STATUS_OK;
    }
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

Status measured_device_limits(void *context, CalClass device_class, const char *device,
                              const char *dtype, CalLimits *limits, Error *error)
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

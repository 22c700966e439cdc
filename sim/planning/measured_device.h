/* Which device of the catalogue a measuring program or a published table means, and what its
 * datasheet allows (configs/measurements/kernel_gpus.csv: patterns of names -> configs/hw; what the
 * kernels of published layers keep to: kernel_forms.csv, see sim/planning/kernel_cases.h). */
#ifndef SIM_PLANNING_MEASURED_DEVICE_H
#define SIM_PLANNING_MEASURED_DEVICE_H

#include "configs/reader/csv.h"
#include "hw/calibration/import.h"

enum { MEASURED_DEVICES = 32 };

typedef struct MeasuredDevices {
    const ConfigPaths *paths;
    CsvTable names, forms; /* kernel_gpus.csv, kernel_forms.csv */
    size_t count;
    struct {
        char name[NAME_BYTES]; /* in configs/hw */
        GpuSpec gpu;
    } devices[MEASURED_DEVICES];
} MeasuredDevices;

Status measured_devices_start(MeasuredDevices *devices, const ConfigPaths *paths, Error *error);
void measured_devices_free(MeasuredDevices *devices);

/* The catalogue's name: "cpu" of every CPU. STATUS_NO when it is not there. */
Status measured_device_name(MeasuredDevices *devices, CalClass device_class, const char *device,
                            char name[NAME_BYTES], Error *error);

/* What a device's datasheet and the shipped tables of kernels say. A CPU has no datasheet here: no
 * limits. Tiles are those of the constants that kernel_forms.csv names for the kernel, and the
 * cache stands in kernel_gpus.csv. It points to `devices`. */
CalCatalogue measured_catalogue(MeasuredDevices *devices);

#endif

/* Which device of the catalogue a measuring program or a published table means, and what its
 * datasheet allows (configs/measurements/kernel_gpus.csv: patterns of names -> configs/hw). */
#ifndef SIM_PLANNING_MEASURED_DEVICE_H
#define SIM_PLANNING_MEASURED_DEVICE_H

#include "configs/reader/csv.h"
#include "hw/calibration/import.h"

enum { MEASURED_DEVICES = 32 };

typedef struct MeasuredDevices {
    const ConfigPaths *paths;
    CsvTable names;
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

/* A CalLimitsOf; the context is the MeasuredDevices. A CPU has no datasheet here: no limits. */
Status measured_device_limits(void *context, CalClass device_class, const char *device,
                              const char *dtype, CalLimits *limits, Error *error);

#endif

/* The CUDA run time over host memory: allocations are known and poisoned, copies checked. */
#include "tests/emulation/runtime.h"
#include "tests/emulation/device.h"
#include "tests/emulation/emulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace
{

struct Allocation {
    const unsigned char *start;
    size_t bytes;
};

enum { ALLOCATIONS_MAX = 256, ATTRIBUTES_MAX = 64 };
Allocation allocations[ALLOCATIONS_MAX];
size_t live;
int devices = 1, fail_in;

struct SharedAttribute {
    const void *kernel;
    size_t bytes;
};
SharedAttribute attributes[ATTRIBUTES_MAX];
int attribute_count;

const Allocation *allocation_of(const void *memory)
{
    const unsigned char *const byte = static_cast<const unsigned char *>(memory);
    for (const Allocation &a : allocations)
        if (a.start != NULL && byte >= a.start && byte < a.start + a.bytes)
            return &a;
    return NULL;
}

struct Named {
    cudaError_t error;
    const char *name, *text;
};
const Named ERRORS[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
};

} // namespace

struct EmulatedStream {
    int unused;
};
struct EmulatedEvent {
    double milliseconds;
};
struct EmulatedGraph {
    int unused;
};

namespace emulation
{

bool is_device(const void *memory)
{
    return allocation_of(memory) != NULL;
}

void require_device(const void *memory, size_t bytes, const char *what)
{
    if (bytes == 0)
        return;
    const Allocation *const a = allocation_of(memory);
    if (a == NULL)
        fail("%s is not device memory", what);
    if (bytes > (size_t)(a->start + a->bytes - static_cast<const unsigned char *>(memory)))
        fail("%s: %zu bytes reach beyond an allocation of %zu", what, bytes, a->bytes);
}

void require_host(const void *memory, const char *what)
{
    if (memory == NULL || is_device(memory))
        fail("%s is not host memory", what);
}

size_t allowed_shared(const void *kernel)
{
    for (int i = 0; i < attribute_count; ++i)
        if (attributes[i].kernel == kernel)
            return attributes[i].bytes;
    return 48 << 10;
}

} // namespace emulation

void emulator_devices(int count)
{
    devices = count;
}

void emulator_fail_allocation(int number)
{
    fail_in = number;
}

size_t emulator_live_allocations(void)
{
    return live;
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (const Named &e : ERRORS)
        if (e.error == error)
            return e.name;
    return "?";
}

const char *cudaGetErrorString(cudaError_t error)
{
    for (const Named &e : ERRORS)
        if (e.error == error)
            return e.text;
    return "?";
}

cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = devices;
    return devices > 0 ? cudaSuccess : cudaErrorInsufficientDriver;
}

cudaError_t cudaSetDevice(int device)
{
    return device >= 0 && device < devices ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    if (device < 0 || device >= devices)
        return cudaErrorInvalidDevice;
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "emulated GPU");
    properties->major = 9;
    properties->multiProcessorCount = 4;
    properties->l2CacheSize = 1 << 16;
    properties->totalGlobalMem = (size_t)1 << 30;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int)
{
    *value = 1000000; /* kHz */
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *available = *total = (size_t)1 << 30;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **place, size_t bytes)
{
    *place = NULL;
    if (bytes == 0)
        return cudaSuccess;
    if (fail_in > 0 && --fail_in == 0)
        return cudaErrorMemoryAllocation;
    /* The real one aligns to 256 bytes; ASan's red zones follow directly behind. */
    if (posix_memalign(place, 256, bytes) != 0)
        return cudaErrorMemoryAllocation;
    memset(*place, 0xff, bytes); /* NaN in every format */
    for (Allocation &a : allocations)
        if (a.start == NULL) {
            a = Allocation{static_cast<unsigned char *>(*place), bytes};
            ++live;
            return cudaSuccess;
        }
    emulation::fail("more than %d allocations", ALLOCATIONS_MAX);
}

cudaError_t cudaFree(void *memory)
{
    if (memory == NULL)
        return cudaSuccess;
    for (Allocation &a : allocations)
        if (a.start == memory) {
            a.start = NULL;
            --live;
            free(memory);
            return cudaSuccess;
        }
    emulation::fail("cudaFree of what cudaMalloc did not give");
}

cudaError_t cudaMallocHost(void **place, size_t bytes)
{
    *place = malloc(bytes);
    if (*place == NULL)
        return cudaErrorMemoryAllocation;
    memset(*place, 0xff, bytes);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *memory)
{
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t)
{
    if (kind == cudaMemcpyHostToDevice)
        emulation::require_host(from, "the source of a copy to the device");
    else
        emulation::require_device(from, bytes, "the source of a copy from the device");
    if (kind == cudaMemcpyDeviceToHost)
        emulation::require_host(to, "the target of a copy to the host");
    else
        emulation::require_device(to, bytes, "the target of a copy to the device");
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t)
{
    emulation::require_device(memory, bytes, "memset");
    memset(memory, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    *stream = static_cast<cudaStream_t>(calloc(1, sizeof **stream));
    return *stream != NULL ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return cudaSuccess;
}

/* A captured graph is a shell here: what is captured runs at once. */
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode)
{
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
    *graph = static_cast<cudaGraph_t>(calloc(1, sizeof **graph));
    return *graph != NULL ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *made, cudaGraph_t, unsigned long long)
{
    return cudaStreamEndCapture(NULL, made);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    free(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    free(graph);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    *event = static_cast<cudaEvent_t>(calloc(1, sizeof **event));
    return *event != NULL ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    free(event);
    return cudaSuccess;
}

/* The clock counts work: 5 us for each launch or product, 0.1 us for each thread, 1 us for looking.
 * It means nothing; it is positive, and the same in every run. */
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t)
{
    static double looked;
    const EmulatorCounts counts = emulator_counts();
    looked += 1e-3;
    event->milliseconds =
        looked + 5e-3 * (double)(counts.launches + counts.products) + 1e-4 * (double)counts.threads;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t stop)
{
    *milliseconds = (float)(stop->milliseconds - start->milliseconds);
    return cudaSuccess;
}

cudaError_t emulated_set_attribute(const void *kernel, cudaFuncAttribute, int value)
{
    if (value < 0 || value > 227 << 10)
        return cudaErrorInvalidValue;
    for (int i = 0; i < attribute_count; ++i)
        if (attributes[i].kernel == kernel) {
            attributes[i].bytes = (size_t)value;
            return cudaSuccess;
        }
    if (attribute_count == ATTRIBUTES_MAX)
        emulation::fail("more than %d kernels with attributes", ATTRIBUTES_MAX);
    attributes[attribute_count++] = SharedAttribute{kernel, (size_t)value};
    return cudaSuccess;
}

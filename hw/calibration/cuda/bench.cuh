/* Timing on one GPU: what the sweeps share. */
#ifndef HW_CALIBRATION_CUDA_BENCH_CUH
#define HW_CALIBRATION_CUDA_BENCH_CUH

#include "hw/calibration/cuda/plan.cuh"
#include "hw/calibration/cuda/sweep.h"
#include "hw/calibration/records.h"

enum { BENCH_SAMPLES_MAX = 200 };

struct Bench {
    const CudaSweep *sweep;
    FILE *out;
    cudaStream_t stream;
    cudaEvent_t start, stop;
    cublasHandle_t blas;
    void *flush, *workspace;
    size_t flush_bytes;
    uint64_t seed;
    size_t done, of, points;
    bool counting; /* only count what would be measured */
    double started_s, sentinel_low_us, sentinel_high_us;
};

/* Puts one turn of the work on bench->stream. */
typedef Status (*BenchWork)(Bench *bench, void *context, Error *error);

/* Warms up, samples with the second-level cache flushed before each when point->cold, fills in the
 * statistics (of one of `turns` equal parts of the work), writes the point and a line of progress.
 * When counting, only counts. */
Status bench_measure(Bench *bench, BenchWork work, void *context, double turns, CalPoint *point,
                     Error *error);

CalPoint bench_point(CalOp op, CalPass pass, const char *impl, MoeDtype dtype);
size_t bench_element_bytes(MoeDtype dtype);
cudaDataType bench_type(MoeDtype dtype);

/* Device memory of its own, freed by free_all; NULL with bytes 0. */
struct BenchBuffers {
    void *memory[8];
    size_t count;
};
Status bench_allocate(BenchBuffers *buffers, size_t bytes, void **place, Error *error);
void bench_free(BenchBuffers *buffers);

/* Uniform numbers in -scale..scale: zeros would run faster than data does. */
Status bench_fill(Bench *bench, MoeDtype dtype, void *memory, size_t count, double scale,
                  Error *error);

/* sweep_layer.cu */
Status sweep_layers(Bench *bench, Error *error);

/* collectives.cu: nothing with fewer than two GPUs or without NCCL */
Status sweep_collectives(Bench *bench, Error *error);

#endif

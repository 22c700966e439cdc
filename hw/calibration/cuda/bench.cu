#include "hw/calibration/cuda/bench.cuh"

#include <string.h>
#include <time.h>

static double now_s()
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static Status one_sample(Bench *bench, BenchWork work, void *context, bool cold, double *us,
                         Error *error)
{
    float milliseconds = 0;
    if (cold)
        CUDA_TRY(cudaMemsetAsync(bench->flush, 1, bench->flush_bytes, bench->stream));
    CUDA_TRY(cudaEventRecord(bench->start, bench->stream));
    TRY(work(bench, context, error));
    CUDA_TRY(cudaEventRecord(bench->stop, bench->stream));
    CUDA_TRY(cudaEventSynchronize(bench->stop));
    CUDA_TRY(cudaEventElapsedTime(&milliseconds, bench->start, bench->stop));
    *us = 1e3 * (double)milliseconds;
    return STATUS_OK;
}

static void progress(Bench *bench, const CalPoint *point)
{
    char what[2 * CAL_NAME_BYTES];
    const double spent_s = now_s() - bench->started_s;
    ++bench->done;
    snprintf(what, sizeof what, "%s %s %s of %.0f", CAL_OP_NAMES[point->op], point->impl,
             CAL_PASS_NAMES[point->pass], point->m > 0 ? point->m : point->bytes);
    cal_write_progress(bench->out, bench->done, bench->of,
                       spent_s / (double)bench->done * (double)(bench->of - bench->done), what);
}

Status bench_measure(Bench *bench, BenchWork work, void *context, double turns, CalPoint *point,
                     Error *error)
{
    const CudaSweep *const sweep = bench->sweep;
    double samples[BENCH_SAMPLES_MAX], us = 0;
    size_t count = 0;
    if (bench->counting) {
        ++bench->of;
        return STATUS_OK;
    }
    if (bench->done == 0)
        bench->started_s = now_s();
    const double warm_start_s = now_s();
    for (size_t i = 0; i < sweep->warm_ups || now_s() - warm_start_s < sweep->warm_up_s; ++i)
        TRY(one_sample(bench, work, context, point->cold != 0, &us, error));
    double spent_s = 0;
    while (count < BENCH_SAMPLES_MAX &&
           (count < sweep->least_samples || spent_s < sweep->enough_s)) {
        TRY(one_sample(bench, work, context, point->cold != 0, &us, error));
        samples[count++] = us / turns;
        spent_s += 1e-6 * us;
        if (count >= 5 && spent_s > 4 * sweep->enough_s)
            break; /* long work needs no thirty samples */
    }
    cal_statistics(samples, count, point);
    if (cal_write_point(bench->out, point) != 0)
        return error_set(error, STATUS_ENVIRONMENT, "the points cannot be written");
    ++bench->points;
    progress(bench, point);
    return STATUS_OK;
}

CalPoint bench_point(CalOp op, CalPass pass, const char *impl, MoeDtype dtype)
{
    CalPoint point;
    memset(&point, 0, sizeof point);
    point.op = op;
    point.pass = pass;
    point.role = CAL_FIT;
    snprintf(point.impl, sizeof point.impl, "%s", impl);
    snprintf(point.dtype, sizeof point.dtype, "%s", MOE_DTYPE_NAMES[dtype]);
    return point;
}

size_t bench_element_bytes(MoeDtype dtype)
{
    return dtype == MOE_FP32 ? 4 : 2;
}

cudaDataType bench_type(MoeDtype dtype)
{
    static const cudaDataType TYPES[MOE_DTYPES] = {CUDA_R_32F, CUDA_R_16BF, CUDA_R_16F};
    return TYPES[dtype];
}

Status bench_allocate(BenchBuffers *buffers, size_t bytes, void **place, Error *error)
{
    *place = NULL;
    if (buffers->count == sizeof buffers->memory / sizeof buffers->memory[0])
        return error_set(error, STATUS_ENVIRONMENT, "too many buffers at once");
    if (cudaMalloc(place, bytes) != cudaSuccess) {
        *place = NULL;
        (void)cudaGetLastError();
        return error_set(error, STATUS_ENVIRONMENT, "out of device memory for %zu bytes", bytes);
    }
    buffers->memory[buffers->count++] = *place;
    return STATUS_OK;
}

void bench_free(BenchBuffers *buffers)
{
    while (buffers->count > 0)
        cudaFree(buffers->memory[--buffers->count]);
}

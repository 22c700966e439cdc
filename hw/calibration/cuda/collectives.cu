/* Collectives between the GPUs of this machine through NCCL, where it was there at build time. */
#include "hw/calibration/cuda/bench.cuh"

#ifndef MOE_WITH_NCCL

Status sweep_collectives(Bench *bench, Error *error)
{
    (void)bench, (void)error;
    return STATUS_OK;
}

#else

#include <nccl.h>

enum { RANKS_MAX = 16 };

struct Ranks {
    int count;
    ncclComm_t comms[RANKS_MAX];
    cudaStream_t streams[RANKS_MAX];
    void *send[RANKS_MAX], *receive[RANKS_MAX];
    size_t bytes; /* of the message that is timed, a rank */
    CalOp op;
};

#define NCCL_TRY(call)                                                                             \
    do {                                                                                           \
        const ncclResult_t code_ = (call);                                                         \
        if (code_ != ncclSuccess)                                                                  \
            return error_set(error, STATUS_ENVIRONMENT, "%s (%.120s)", ncclGetErrorString(code_),  \
                             #call);                                                               \
    } while (0)

/* What rank `r` adds to the group; `bytes` are what it sends in all. */
static ncclResult_t post(const Ranks *w, int r)
{
    const size_t share = w->bytes / (size_t)w->count;
    const int right = (r + 1) % w->count, left = (r + w->count - 1) % w->count;
    ncclResult_t code = ncclSuccess;
    if (w->op == CAL_ALL_REDUCE)
        return ncclAllReduce(w->send[r], w->receive[r], w->bytes / 2, ncclBfloat16, ncclSum,
                             w->comms[r], w->streams[r]);
    if (w->op == CAL_ALL_GATHER)
        return ncclAllGather(w->send[r], w->receive[r], share, ncclChar, w->comms[r],
                             w->streams[r]);
    if (w->op == CAL_SEND_RECV) {
        code = ncclSend(w->send[r], w->bytes, ncclChar, right, w->comms[r], w->streams[r]);
        return code != ncclSuccess
                   ? code
                   : ncclRecv(w->receive[r], w->bytes, ncclChar, left, w->comms[r], w->streams[r]);
    }
    for (int peer = 0; peer < w->count && code == ncclSuccess; ++peer) {
        code = ncclSend(static_cast<char *>(w->send[r]) + (size_t)peer * share, share, ncclChar,
                        peer, w->comms[r], w->streams[r]);
        if (code == ncclSuccess)
            code = ncclRecv(static_cast<char *>(w->receive[r]) + (size_t)peer * share, share,
                            ncclChar, peer, w->comms[r], w->streams[r]);
    }
    return code;
}

/* Rank 0 works on the bench's stream, which the events stand around. */
static Status run_collective(Bench *bench, void *context, Error *error)
{
    const Ranks *const w = static_cast<const Ranks *>(context);
    (void)bench;
    NCCL_TRY(ncclGroupStart());
    ncclResult_t code = ncclSuccess;
    for (int r = 0; r < w->count && code == ncclSuccess; ++r)
        code = post(w, r);
    NCCL_TRY(ncclGroupEnd());
    NCCL_TRY(code);
    return STATUS_OK;
}

static Status open_ranks(Bench *bench, Ranks *w, int home, Error *error)
{
    int devices[RANKS_MAX];
    for (int r = 0; r < w->count; ++r)
        devices[r] = r == 0 ? home : r == home ? 0 : r;
    NCCL_TRY(ncclCommInitAll(w->comms, w->count, devices));
    for (int r = w->count - 1; r >= 0; --r) { /* ends on the bench's own device */
        CUDA_TRY(cudaSetDevice(devices[r]));
        CUDA_TRY(cudaMalloc(&w->send[r], bench->sweep->collective_bytes_max));
        CUDA_TRY(cudaMalloc(&w->receive[r], bench->sweep->collective_bytes_max));
        CUDA_TRY(cudaMemset(w->send[r], 1, bench->sweep->collective_bytes_max));
        if (r == 0)
            w->streams[r] = bench->stream;
        else
            CUDA_TRY(cudaStreamCreate(&w->streams[r]));
    }
    return STATUS_OK;
}

static void close_ranks(Ranks *w)
{
    for (int r = 0; r < w->count; ++r) {
        cudaFree(w->send[r]);
        cudaFree(w->receive[r]);
        if (r > 0 && w->streams[r] != NULL)
            cudaStreamDestroy(w->streams[r]);
        if (w->comms[r] != NULL)
            ncclCommDestroy(w->comms[r]);
    }
}

static Status measure_sizes(Bench *bench, Ranks *w, Error *error)
{
    static const CalOp OPS[] = {CAL_ALL_TO_ALL, CAL_ALL_REDUCE, CAL_ALL_GATHER, CAL_SEND_RECV};
    for (size_t i = 0; i < sizeof OPS / sizeof OPS[0]; ++i)
        for (size_t bytes = 1024; bytes <= bench->sweep->collective_bytes_max; bytes *= 4) {
            CalPoint point = bench_point(OPS[i], CAL_FORWARD, "nccl", MOE_BF16);
            w->op = OPS[i];
            w->bytes = bytes;
            point.groups = w->count;
            point.bytes = (double)bytes;
            TRY(bench_measure(bench, run_collective, w, 1, &point, error));
        }
    return STATUS_OK;
}

Status sweep_collectives(Bench *bench, Error *error)
{
    Ranks ranks = {};
    int home = 0;
    CUDA_TRY(cudaGetDeviceCount(&ranks.count));
    CUDA_TRY(cudaGetDevice(&home));
    if (ranks.count > RANKS_MAX)
        ranks.count = RANKS_MAX;
    if (ranks.count < 2 || home >= ranks.count)
        return STATUS_OK;
    if (bench->counting)
        return measure_sizes(bench, &ranks, error);
    Status status = open_ranks(bench, &ranks, home, error);
    if (status == STATUS_OK)
        status = measure_sizes(bench, &ranks, error);
    close_ranks(&ranks);
    return status;
}

#endif

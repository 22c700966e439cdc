/* The device side of CUDA as far as the kernels use it, for a C++ compiler. devport.h includes this
 * in place of CUDA's headers. */
#ifndef TESTS_EMULATION_DEVICE_H
#define TESTS_EMULATION_DEVICE_H

#include "tests/emulation/runtime.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define MOE_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                 \
    emulation::launch(#kernel, kernel, grid, block, shared_bytes, stream, __VA_ARGS__)
#define MOE_SHARED(type, name, count)                                                              \
    type *const name = static_cast<type *>(                                                        \
        emulation::shared_variable(__FILE__, __LINE__, sizeof(type) * (count)))
#define MOE_DYNAMIC_SHARED(name) unsigned char *const name = emulation::shared_dynamic()
#define PLANTED(bug)             emulation::planted(bug)

#define threadIdx (emulation::thread_index())
#define blockIdx  (emulation::block_index)
#define blockDim  (emulation::block_size)
#define gridDim   (emulation::grid_size)

/* ------------------------------------------------------------------------------- number formats */

struct __nv_bfloat16 {
    uint16_t bits;
};
struct __half {
    uint16_t bits;
};
__nv_bfloat16 __float2bfloat16(float value);
float __bfloat162float(__nv_bfloat16 value);
__half __float2half(float value);
float __half2float(__half value);

namespace emulation
{

extern dim3 block_index, block_size, grid_size;
const dim3 &thread_index();
bool planted(int bug);

/* --------------------------------------------------------------------------------------- blocks */

/* What a launch runs in every thread. */
struct Body {
    void (*run)(const void *arguments);
    const void *arguments;
};
void launch_body(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                 Body body);

template <typename... P> struct Call {
    void (*kernel)(P...);
    /* Parameters are copied once, as a launch copies them. */
    template <typename F> static void apply(const void *f)
    {
        (*static_cast<const F *>(f))();
    }
};

template <typename... P, typename... A>
void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t, A... arguments)
{
    const auto body = [=]() { kernel(static_cast<P>(arguments)...); };
    typedef decltype(body) Bound;
    launch_body(name, reinterpret_cast<const void *>(kernel), grid, block, shared_bytes,
                Body{Call<P...>::template apply<Bound>, &body});
}

/* Shared variables are found by the place of their declaration, poisoned for every block. */
void *shared_variable(const char *file, int line, size_t bytes);
unsigned char *shared_dynamic();
/* Shows the thread sanitizer an access that uninstrumented code makes for a lane. */
void saw_read(const void *place, size_t bytes);
void require_shared(const void *place, size_t bytes, size_t alignment, const char *what);

/* ---------------------------------------------------------------------------------------- warps */

/* Lanes named by `mask` meet; the last one completes the operation for all, from the payload of
 * each. */
enum Operation { SHUFFLE, SHUFFLE_XOR, BALLOT, MATCH, SYNC, LDMATRIX, MMA };
struct Payloads {
    void *of[32];
    unsigned mask;
};
void meet(unsigned mask, Operation operation, void *payload, void (*complete)(Payloads &));
unsigned lane_index();

void copy_later(void *shared, const void *global, int bytes);
void copies_commit();
void copies_wait(int pending);

struct Shuffle {
    uint64_t value, result;
    int source;
};
void complete_shuffle(Payloads &lanes);

template <typename V> V shuffle(unsigned mask, Operation operation, V value, int source)
{
    static_assert(sizeof value <= sizeof(uint64_t), "one register pair at most");
    Shuffle mine = {0, 0, source};
    memcpy(&mine.value, &value, sizeof value);
    meet(mask, operation, &mine, complete_shuffle);
    memcpy(&value, &mine.result, sizeof value);
    return value;
}

struct Vote {
    uint32_t value;
    unsigned result;
};
void complete_ballot(Payloads &lanes);
void complete_match(Payloads &lanes);

struct MatrixLoad {
    const void *row;
    uint32_t r[4];
    bool transposed;
};
void complete_ldmatrix(Payloads &lanes);

struct MatrixProduct {
    float d[4];
    uint32_t a[4], b[2];
    float (*widen)(uint16_t bits);
};
void complete_mma(Payloads &lanes);
float widen_bf16(uint16_t bits);
float widen_fp16(uint16_t bits);

} // namespace emulation

void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffU);

template <typename V> V __shfl_sync(unsigned mask, V value, int source)
{
    return emulation::shuffle(mask, emulation::SHUFFLE, value, source);
}

template <typename V> V __shfl_xor_sync(unsigned mask, V value, int lanes)
{
    return emulation::shuffle(mask, emulation::SHUFFLE_XOR, value,
                              (int)(emulation::lane_index() ^ (unsigned)lanes));
}

unsigned __ballot_sync(unsigned mask, bool value);
unsigned __match_any_sync(unsigned mask, uint32_t value);

static inline int __popc(unsigned value)
{
    return __builtin_popcount(value);
}

static inline unsigned atomicAdd(unsigned *place, unsigned value)
{
    return __atomic_fetch_add(place, value, __ATOMIC_RELAXED);
}

static inline unsigned long long atomicMin(unsigned long long *place, unsigned long long value)
{
    unsigned long long old = __atomic_load_n(place, __ATOMIC_RELAXED);
    while (value < old && !__atomic_compare_exchange_n(place, &old, value, false, __ATOMIC_RELAXED,
                                                       __ATOMIC_RELAXED)) {
    }
    return old;
}

/* ------------------------------------------------- twins of the PTX instructions of devport.h */

static inline void cp_async_16(void *shared, const void *global, int bytes)
{
    emulation::copy_later(shared, global, bytes);
}

static inline void cp_async_commit()
{
    emulation::copies_commit();
}

template <int Pending> void cp_async_wait()
{
    emulation::copies_wait(Pending);
}

template <bool Transposed> void ldmatrix_x4(uint32_t r[4], const void *row)
{
    emulation::MatrixLoad mine = {row, {0, 0, 0, 0}, Transposed};
    emulation::meet(0xffffffffU, emulation::LDMATRIX, &mine, emulation::complete_ldmatrix);
    memcpy(r, mine.r, sizeof mine.r);
}

static inline void mma_emulated(float d[4], const uint32_t a[4], const uint32_t b[2],
                                float (*widen)(uint16_t))
{
    emulation::MatrixProduct mine = {
        {d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}, widen};
    emulation::meet(0xffffffffU, emulation::MMA, &mine, emulation::complete_mma);
    memcpy(d, mine.d, sizeof mine.d);
}

static inline void mma_16816(float d[4], const uint32_t a[4], const uint32_t b[2], __nv_bfloat16)
{
    mma_emulated(d, a, b, emulation::widen_bf16);
}

static inline void mma_16816(float d[4], const uint32_t a[4], const uint32_t b[2], __half)
{
    mma_emulated(d, a, b, emulation::widen_fp16);
}

#endif

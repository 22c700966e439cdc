/* What the CUDA sources need of the machine below them, in one place, so that the same kernels and
 * host code build in two ways: by nvcc for a GPU, and by a C++ compiler against an emulation of
 * CUDA for the tests (MOE_PORT_HEADER names it then, and no CUDA header is read).
 *
 * The PTX instructions that the tensor-core product needs are wrapped here, one function each: they
 * are all that the emulation has to write anew, and all that only a GPU can confirm.
 */
#ifndef HW_CALIBRATION_CUDA_DEVPORT_H
#define HW_CALIBRATION_CUDA_DEVPORT_H

#ifdef MOE_PORT_HEADER
#include MOE_PORT_HEADER
#else

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#define MOE_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                 \
    kernel<<<grid, block, shared_bytes, stream>>>(__VA_ARGS__)
#define MOE_SHARED(type, name, count) __shared__ type name[count]
#define MOE_DYNAMIC_SHARED(name)      extern __shared__ __align__(16) unsigned char name[]

/* A mistake that the mutation test plants; never in a build for a GPU. */
#define PLANTED(bug)                  0

/* 16 bytes from global to shared memory in the background; `bytes` of them are read, 16 or 0, the
 * rest is zeroed. Both addresses are multiples of 16. */
static __device__ __forceinline__ void cp_async_16(void *shared, const void *global, int bytes)
{
    const uint32_t place = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(place), "l"(global),
                 "r"(bytes)
                 : "memory");
}

static __device__ __forceinline__ void cp_async_commit()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/* Until at most `Pending` of this thread's latest groups are under way. */
template <int Pending> static __device__ __forceinline__ void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending) : "memory");
}

/* Four 8x8 matrices of 16-bit elements. Lane i names row i % 8 of matrix i / 8. Register j of lane
 * l is row l / 4, columns 2 (l % 4) and the next, of matrix j; transposed: columns for rows. */
template <bool Transposed>
static __device__ __forceinline__ void ldmatrix_x4(uint32_t r[4], const void *row)
{
    const uint32_t place = (uint32_t)__cvta_generic_to_shared(row);
    if (Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(place)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(place)
                     : "memory");
}

/* d += a b, of 16x16 and 16x8 elements over a warp, sums in fp32 (layout: PTX ISA, section on
 * mma.m16n8k16). */
static __device__ __forceinline__ void mma_16816(float d[4], const uint32_t a[4],
                                                 const uint32_t b[2], __nv_bfloat16)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ void mma_16816(float d[4], const uint32_t a[4],
                                                 const uint32_t b[2], __half)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#endif /* MOE_PORT_HEADER */

/* One way to and from fp32 for every element type. */
static __host__ __device__ __forceinline__ float to_float(float value)
{
    return value;
}

static __host__ __device__ __forceinline__ float to_float(__nv_bfloat16 value)
{
    return __bfloat162float(value);
}

static __host__ __device__ __forceinline__ float to_float(__half value)
{
    return __half2float(value);
}

template <typename T> static __host__ __device__ __forceinline__ T from_float(float value);

template <> __host__ __device__ __forceinline__ float from_float<float>(float value)
{
    return value;
}

template <> __host__ __device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float value)
{
    return __float2bfloat16(value);
}

template <> __host__ __device__ __forceinline__ __half from_float<__half>(float value)
{
    return __float2half(value);
}

/* Eight elements, moved by 16-byte accesses. Rows of the layer are multiples of it. */
template <typename T> struct alignas(16) Eight {
    T v[8];
};

#endif

/* cuBLAS's products as the layer calls them, in plain loops: column-major, sums in double, every
 * argument checked, every operand inside its allocation. Also the 16-bit number formats. */
#include "tests/emulation/device.h"

#include <stdlib.h>
#include <string.h>

struct EmulatedBlas {
    int unused;
};

/* ------------------------------------------------------------------------------- number formats */

__nv_bfloat16 __float2bfloat16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return __nv_bfloat16{0x7fff};
    bits += 0x7fffU + (bits >> 16 & 1U); /* to the nearest, ties to even */
    return __nv_bfloat16{(uint16_t)(bits >> 16)};
}

float __bfloat162float(__nv_bfloat16 value)
{
    const uint32_t bits = (uint32_t)value.bits << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

/* Exponent 31 is infinity or NaN; 0 holds steps of 2^-24. */
float __half2float(__half value)
{
    const int exponent = value.bits >> 10 & 31, mantissa = value.bits & 1023;
    float magnitude;
    if (exponent == 31)
        magnitude = mantissa != 0 ? nanf("") : HUGE_VALF;
    else if (exponent == 0)
        magnitude = ldexpf((float)mantissa, -24);
    else
        magnitude = ldexpf((float)(1024 + mantissa), exponent - 25);
    return (value.bits & 0x8000) != 0 ? -magnitude : magnitude;
}

__half __float2half(float value)
{
    const unsigned sign = signbit(value) ? 0x8000U : 0U;
    const float magnitude = fabsf(value);
    if (value != value)
        return __half{0x7fff};
    if (!(magnitude < 65520.0F)) /* half way to what 65504's next step would be */
        return __half{(uint16_t)(sign | 0x7c00U)};
    if (magnitude < ldexpf(1, -14)) /* a carry into exponent 1 is right as it is */
        return __half{(uint16_t)(sign | (unsigned)nearbyintf(ldexpf(magnitude, 24)))};
    int exponent = 0;
    (void)frexpf(magnitude, &exponent); /* magnitude = [0.5, 1) 2^exponent */
    const unsigned mantissa = (unsigned)nearbyintf(ldexpf(magnitude, 11 - exponent));
    return __half{(uint16_t)(sign | ((unsigned)(exponent + 13) * 1024U + mantissa))};
}

namespace
{

size_t size_of(cudaDataType type)
{
    return type == CUDA_R_32F ? 4 : 2;
}

float element(const void *matrix, cudaDataType type, size_t i)
{
    if (type == CUDA_R_32F)
        return static_cast<const float *>(matrix)[i];
    if (type == CUDA_R_16BF)
        return __bfloat162float(static_cast<const __nv_bfloat16 *>(matrix)[i]);
    return __half2float(static_cast<const __half *>(matrix)[i]);
}

void set_element(void *matrix, cudaDataType type, size_t i, float value)
{
    if (type == CUDA_R_32F)
        static_cast<float *>(matrix)[i] = value;
    else if (type == CUDA_R_16BF)
        static_cast<__nv_bfloat16 *>(matrix)[i] = __float2bfloat16(value);
    else
        static_cast<__half *>(matrix)[i] = __float2half(value);
}

/* A column-major matrix of `rows` x `columns`. */
void check_matrix(const void *matrix, cudaDataType type, int rows, int columns, int ld,
                  const char *name)
{
    if (ld < rows)
        emulation::fail("cuBLAS: leading dimension %d of %s below its %d rows", ld, name, rows);
    if (reinterpret_cast<uintptr_t>(matrix) % 16 != 0)
        emulation::fail("cuBLAS: %s is not aligned to 16 bytes", name);
    emulation::require_device(matrix, ((size_t)(columns - 1) * ld + rows) * size_of(type), name);
}

/* Type pairs of cublasGemmEx with sums in fp32 (cuBLAS documentation, table of cublasGemmEx). */
void check_types(cudaDataType a, cudaDataType b, cudaDataType c)
{
    if (a != b || (c != a && c != CUDA_R_32F))
        emulation::fail("cuBLAS: no product of types %d and %d into %d", (int)a, (int)b, (int)c);
}

void product(cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, float alpha,
             const void *a, cudaDataType type_a, int lda, const void *b, cudaDataType type_b,
             int ldb, float beta, void *c, cudaDataType type_c, int ldc)
{
    if (m <= 0 || n <= 0 || k <= 0)
        emulation::fail("cuBLAS: a product of %d x %d x %d", m, n, k);
    check_types(type_a, type_b, type_c);
    check_matrix(a, type_a, op_a == CUBLAS_OP_N ? m : k, op_a == CUBLAS_OP_N ? k : m, lda, "A");
    check_matrix(b, type_b, op_b == CUBLAS_OP_N ? k : n, op_b == CUBLAS_OP_N ? n : k, ldb, "B");
    check_matrix(c, type_c, m, n, ldc, "C");
    emulation::count_product();
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < m; ++i) {
            double sum = 0;
            for (int l = 0; l < k; ++l) {
                const size_t at_a = op_a == CUBLAS_OP_N ? (size_t)l * lda + i : (size_t)i * lda + l;
                const size_t at_b = op_b == CUBLAS_OP_N ? (size_t)j * ldb + l : (size_t)l * ldb + j;
                sum += (double)element(a, type_a, at_a) * (double)element(b, type_b, at_b);
            }
            const size_t at_c = (size_t)j * ldc + i;
            const double before = beta != 0 ? (double)element(c, type_c, at_c) : 0;
            set_element(c, type_c, at_c, (float)(alpha * sum + beta * before));
        }
}

float host_float(const void *value, const char *what)
{
    emulation::require_host(value, what);
    return *static_cast<const float *>(value);
}

} // namespace

const char *cublasGetStatusName(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS"
                                           : "CUBLAS_STATUS_INVALID_VALUE";
}

cublasStatus_t cublasCreate(cublasHandle_t *handle)
{
    *handle = static_cast<cublasHandle_t>(calloc(1, sizeof **handle));
    return *handle != NULL ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t, void *workspace, size_t bytes)
{
    emulation::require_device(workspace, bytes, "cuBLAS's workspace");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion(cublasHandle_t, int *version)
{
    *version = 130100;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void *alpha, const void *a, cudaDataType type_a,
                            int lda, const void *b, cudaDataType type_b, int ldb, const void *beta,
                            void *c, cudaDataType type_c, int ldc, cublasComputeType_t,
                            cublasGemmAlgo_t)
{
    product(op_a, op_b, m, n, k, host_float(alpha, "alpha"), a, type_a, lda, b, type_b, ldb,
            host_float(beta, "beta"), c, type_c, ldc);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t, cublasOperation_t op_a,
                                          cublasOperation_t op_b, int m, int n, int k,
                                          const void *alpha, const void *a, cudaDataType type_a,
                                          int lda, long long stride_a, const void *b,
                                          cudaDataType type_b, int ldb, long long stride_b,
                                          const void *beta, void *c, cudaDataType type_c, int ldc,
                                          long long stride_c, int batches, cublasComputeType_t,
                                          cublasGemmAlgo_t)
{
    for (int i = 0; i < batches; ++i)
        product(
            op_a, op_b, m, n, k, host_float(alpha, "alpha"),
            static_cast<const char *>(a) + (size_t)i * (size_t)stride_a * size_of(type_a), type_a,
            lda, static_cast<const char *>(b) + (size_t)i * (size_t)stride_b * size_of(type_b),
            type_b, ldb, host_float(beta, "beta"),
            static_cast<char *>(c) + (size_t)i * (size_t)stride_c * size_of(type_c), type_c, ldc);
    return CUBLAS_STATUS_SUCCESS;
}

/* Sizes and factors on the host, one for each group; pointers on the device, one for each matrix;
 * all three matrices of one type. */
cublasStatus_t cublasGemmGroupedBatchedEx(cublasHandle_t, const cublasOperation_t op_a[],
                                          const cublasOperation_t op_b[], const int m[],
                                          const int n[], const int k[], const void *alpha,
                                          const void *const a[], cudaDataType type_a,
                                          const int lda[], const void *const b[],
                                          cudaDataType type_b, const int ldb[], const void *beta,
                                          void *const c[], cudaDataType type_c, const int ldc[],
                                          int groups, const int group_size[], cublasComputeType_t)
{
    const void *const on_host[] = {op_a, op_b, m, n, k, alpha, lda, ldb, beta, ldc, group_size};
    for (const void *array : on_host)
        emulation::require_host(array, "an array of sizes of a grouped product");
    if (type_c != type_a)
        emulation::fail("cuBLAS: a grouped product into another type");
    int matrix = 0;
    for (int g = 0; g < groups; ++g)
        for (int i = 0; i < group_size[g]; ++i, ++matrix) {
            const size_t upto = (size_t)(matrix + 1) * sizeof(void *);
            emulation::require_device(a, upto, "the pointers to A of a grouped product");
            emulation::require_device(b, upto, "the pointers to B of a grouped product");
            emulation::require_device(c, upto, "the pointers to C of a grouped product");
            product(op_a[g], op_b[g], m[g], n[g], k[g], static_cast<const float *>(alpha)[g],
                    a[matrix], type_a, lda[g], b[matrix], type_b, ldb[g],
                    static_cast<const float *>(beta)[g], c[matrix], type_c, ldc[g]);
        }
    return CUBLAS_STATUS_SUCCESS;
}

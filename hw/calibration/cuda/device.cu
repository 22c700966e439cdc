/* Which device, what it is, whether it computes rightly, and the sizes of the sweeps. */
#include "hw/calibration/cuda/bench.cuh"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------- sizes
 */

/* Products of decoders of 7 to 70 thousand million parameters; several (n, k), for a sweep at one
 * cannot tell launch from bandwidth. */
static const CudaGemmShape SHAPES[] = {{4096, 4096},  {28672, 4096}, {4096, 14336},
                                       {10240, 8192}, {8192, 8192},  {1024, 4096}};
static const CudaGemmShape SHAPES_QUICK[] = {{4096, 4096}, {14336, 4096}, {1024, 4096}};

/* Two shapes are fitted; a third, with other widths, tokens and experts, is only predicted. */
static const CudaLayerCase LAYERS[] = {
    {4096, 14336, 8, 2, 1, 16, 0, MOE_BF16, CAL_FIT},
    {4096, 14336, 8, 2, 1, 64, 2, MOE_BF16, CAL_FIT},
    {4096, 14336, 8, 2, 1, 256, 0, MOE_BF16, CAL_FIT},
    {4096, 14336, 8, 2, 1, 1024, 3, MOE_BF16, CAL_FIT},
    {4096, 14336, 8, 2, 1, 4096, 0, MOE_BF16, CAL_FIT},
    {4096, 14336, 8, 2, 1, 16384, 4, MOE_BF16, CAL_FIT},
    {2048, 1408, 64, 6, 1, 16, 0, MOE_BF16, CAL_FIT},
    {2048, 1408, 64, 6, 1, 256, 1, MOE_BF16, CAL_FIT},
    {2048, 1408, 64, 6, 1, 4096, 2, MOE_BF16, CAL_FIT},
    {2048, 1408, 64, 6, 1, 16384, 0, MOE_BF16, CAL_FIT},
    {4096, 4096, 16, 2, 0, 1024, 0, MOE_FP16, CAL_FIT},
    {2048, 2048, 16, 2, 0, 1024, 0, MOE_FP32, CAL_FIT},
    {3072, 8192, 16, 2, 0, 48, 2, MOE_BF16, CAL_CHECK},
    {3072, 8192, 16, 2, 0, 768, 1, MOE_BF16, CAL_CHECK},
    {3072, 8192, 16, 2, 0, 6144, 3, MOE_BF16, CAL_CHECK},
};
static const CudaLayerCase LAYERS_QUICK[] = {
    {4096, 14336, 8, 2, 1, 64, 0, MOE_BF16, CAL_FIT},
    {4096, 14336, 8, 2, 1, 1024, 2, MOE_BF16, CAL_FIT},
    {4096, 14336, 8, 2, 1, 4096, 4, MOE_BF16, CAL_FIT},
    {2048, 1408, 64, 6, 1, 256, 1, MOE_BF16, CAL_FIT},
    {2048, 1408, 64, 6, 1, 4096, 0, MOE_BF16, CAL_FIT},
    {3072, 8192, 16, 2, 0, 768, 1, MOE_BF16, CAL_CHECK},
};

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

const CudaSweep CUDA_SWEEP_FULL = {SHAPES,
                                   COUNT_OF(SHAPES),
                                   16384,
                                   4096,
                                   LAYERS,
                                   COUNT_OF(LAYERS),
                                   (size_t)1 << 30,
                                   4096,
                                   4096,
                                   (size_t)1 << 30,
                                   5,
                                   30,
                                   100,
                                   0.02,
                                   0.3};
const CudaSweep CUDA_SWEEP_QUICK = {SHAPES_QUICK,
                                    COUNT_OF(SHAPES_QUICK),
                                    4096,
                                    64,
                                    LAYERS_QUICK,
                                    COUNT_OF(LAYERS_QUICK),
                                    (size_t)1 << 26,
                                    1024,
                                    4096,
                                    (size_t)1 << 26,
                                    3,
                                    10,
                                    100,
                                    0.005,
                                    0.03};

/* ---------------------------------------------------------------------------------------- device
 */

/* One line of the driver's own tool: clocks, limits and why it slows down, which the run time does
 * not tell. Empty where the tool is missing. */
static void ask_driver(int device, char *text, size_t bytes)
{
    char command[256];
    snprintf(command, sizeof command,
             "nvidia-smi -i %d --format=csv,noheader --query-gpu=clocks.sm,clocks.mem,power.limit,"
             "temperature.gpu,clocks_throttle_reasons.active,driver_version 2>/dev/null",
             device);
    FILE *const pipe = popen(command, "r");
    text[0] = '\0';
    if (pipe == NULL)
        return;
    if (fgets(text, (int)bytes, pipe) == NULL)
        text[0] = '\0';
    if (pclose(pipe) != 0)
        text[0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static void version_text(int version, char *text, size_t bytes)
{
    snprintf(text, bytes, "%d.%d", version / 1000, version % 1000 / 10);
}

/* The device's identity is stored as a hash (FNV-1a): equal devices can be told, none be named. */
static void hash_text(const cudaUUID_t *uuid, char *text, size_t bytes)
{
    uint64_t hash = 14695981039346656037ULL;
    for (size_t i = 0; i < sizeof uuid->bytes; ++i)
        hash = (hash ^ (unsigned char)uuid->bytes[i]) * 1099511628211ULL;
    snprintf(text, bytes, "%016llx", (unsigned long long)hash);
}

static Status describe(int device, CalProvenance *provenance, Error *error)
{
    cudaDeviceProp properties;
    cublasHandle_t blas = NULL;
    int driver = 0, runtime = 0, library = 0, core_khz = 0, memory_khz = 0;
    char live[160];
    CUDA_TRY(cudaGetDeviceProperties(&properties, device));
    CUDA_TRY(cudaDriverGetVersion(&driver));
    CUDA_TRY(cudaRuntimeGetVersion(&runtime));
    CUDA_TRY(cudaDeviceGetAttribute(&core_khz, cudaDevAttrClockRate, device));
    CUDA_TRY(cudaDeviceGetAttribute(&memory_khz, cudaDevAttrMemoryClockRate, device));
    BLAS_TRY(cublasCreate(&blas));
    (void)cublasGetVersion(blas, &library);
    cublasDestroy(blas);
    ask_driver(device, live, sizeof live);
    snprintf(provenance->device, sizeof provenance->device, "%s", properties.name);
    snprintf(provenance->library, sizeof provenance->library, "cuBLAS %d; sm_%d%d, %d SMs", library,
             properties.major, properties.minor, properties.multiProcessorCount);
    version_text(driver, provenance->driver, sizeof provenance->driver);
    version_text(runtime, provenance->runtime, sizeof provenance->runtime);
    hash_text(&properties.uuid, provenance->uuid, sizeof provenance->uuid);
    snprintf(provenance->clocks, sizeof provenance->clocks,
             "highest %d MHz core, %d MHz memory%s%s", core_khz / 1000, memory_khz / 1000,
             live[0] != '\0' ? "; before: " : "", live);
    if (properties.major < 8)
        return error_set(error, STATUS_NO, "%s is sm_%d%d; the kernels need sm_80 or later",
                         properties.name, properties.major, properties.minor);
    return STATUS_OK;
}

Status cuda_device_open(int device, CalProvenance *provenance, Error *error)
{
    int count = 0;
    memset(provenance, 0, sizeof *provenance);
    provenance->device_class = CAL_GPU;
    provenance->host_load = -1;
    snprintf(provenance->backend, sizeof provenance->backend, "cuda");
    /* Without a driver, or with one older than this program's run time, the code is not "no device"
     * but "insufficient driver". */
    const cudaError_t code = cudaGetDeviceCount(&count);
    if (code != cudaSuccess || count == 0)
        return error_set(error, STATUS_NO,
                         "no usable CUDA device: %s; either there is no GPU or driver here, or the "
                         "driver is older than this program needs",
                         code != cudaSuccess ? cudaGetErrorString(code) : "none found");
    if (device < 0 || device >= count)
        return error_set(error, STATUS_NO, "no device %d: this machine has %d, numbered from 0",
                         device, count);
    CUDA_TRY(cudaSetDevice(device));
    return describe(device, provenance, error);
}

/* ------------------------------------------------------------------------------------ self-check
 */

static const double CHECK_TOLERANCE[MOE_DTYPES] = {1e-4, 3e-2, 5e-3};

struct CheckLayer {
    float *floats[6];
    double *doubles[2][5];
};

static double worst_of(const double *actual, const double *expected, size_t count)
{
    double largest = 1e-30, worst = 0;
    for (size_t i = 0; i < count; ++i)
        largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < count; ++i)
        if (!(fabs(actual[i] - expected[i]) <= worst))
            worst = isnan(actual[i]) ? HUGE_VAL : fabs(actual[i] - expected[i]);
    return worst / largest;
}

static Status compare(const MoeShape *shape, MoeCudaGemm gemm, const MoeInputs *inputs,
                      double *const doubles[2][5], const size_t sizes[5], Error *error)
{
    static const char *const NAMES[] = {"y", "dx", "d_router", "d_w_in", "d_w_out"};
    MoeOutputs outputs[2];
    memset(outputs, 0, sizeof outputs);
    for (int i = 0; i < 2; ++i) {
        outputs[i].y = doubles[i][0], outputs[i].dx = doubles[i][1];
        outputs[i].d_router = doubles[i][2], outputs[i].d_w_in = doubles[i][3];
        outputs[i].d_w_out = doubles[i][4];
    }
    TRY(moe_reference_run(shape, inputs, &outputs[0], NULL, error));
    TRY(moe_cuda_run_with(gemm, shape, inputs, &outputs[1], NULL, error));
    for (int i = 0; i < 5; ++i) {
        const double worst = worst_of(doubles[1][i], doubles[0][i], sizes[i]);
        if (!(worst <= CHECK_TOLERANCE[shape->dtype]))
            return error_set(error, STATUS_INVALID,
                             "this device computes %s of a %s layer (%s) wrongly: off by %.3g of "
                             "the largest value, allowed %.3g",
                             NAMES[i], MOE_DTYPE_NAMES[shape->dtype], MOE_CUDA_GEMM_NAMES[gemm],
                             worst, CHECK_TOLERANCE[shape->dtype]);
    }
    return STATUS_OK;
}

static Status check_shape(const MoeShape *shape, MoeCudaGemm gemm, Error *error)
{
    const size_t stream = shape->tokens * shape->hidden, router = shape->experts * shape->hidden;
    const size_t in = moe_w_in_elements(shape), out = moe_w_out_elements(shape);
    const size_t inputs[6] = {stream, router, shape->experts, in, out, stream};
    const size_t outputs[5] = {stream, stream, router, in, out};
    CheckLayer layer = {};
    uint64_t state = 1;
    bool complete = true;
    for (int i = 0; i < 6; ++i) {
        layer.floats[i] = static_cast<float *>(malloc(inputs[i] * sizeof(float)));
        complete &= layer.floats[i] != NULL;
        for (size_t j = 0; j < inputs[i] && layer.floats[i] != NULL; ++j) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            const float value = (float)(state >> 40) * 0x1p-24F - 0.5F;
            layer.floats[i][j] = moe_round_to_dtype(value, shape->dtype);
        }
    }
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 5; ++j) {
            layer.doubles[i][j] = static_cast<double *>(calloc(outputs[j], sizeof(double)));
            complete &= layer.doubles[i][j] != NULL;
        }
    const MoeInputs given = {layer.floats[0], layer.floats[1], layer.floats[2],
                             layer.floats[3], layer.floats[4], layer.floats[5]};
    const Status status = complete ? compare(shape, gemm, &given, layer.doubles, outputs, error)
                                   : error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (float *floats : layer.floats)
        free(floats);
    for (auto &each : layer.doubles)
        for (double *doubles : each)
            free(doubles);
    return status;
}

Status cuda_self_check(Error *error)
{
    for (int dtype = 0; dtype < MOE_DTYPES; ++dtype)
        for (int gemm = 0; gemm < MOE_CUDA_GEMMS; ++gemm) {
            MoeShape shape = {};
            shape.tokens = 45, shape.hidden = 72, shape.ffn = 40, shape.experts = 5;
            shape.top_k = 2, shape.gated = gemm != MOE_CUDA_LOOP, shape.aux_weight = 0.5;
            shape.capacity_factor = gemm == MOE_CUDA_OWN ? 0.9 : 0;
            shape.dtype = (MoeDtype)dtype;
            TRY(check_shape(&shape, (MoeCudaGemm)gemm, error));
        }
    return STATUS_OK;
}

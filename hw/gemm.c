/* Matrix products: the best of a table of tiles and k-splits, beside the time to move the operands.
 *
 *   t  = launch + (tc^p + tm^p)^(1/p) + quantisation
 *   tm = bytes of A, B and C / (em * bandwidth)
 *   tc = min over tiles a x b and splits s of
 *        waves * (K/s + K0) * 2ab (1 + g (1/a + 1/b - 1/128 - 1/256)) / (ec * peak / SMs)
 *        + [s > 1] (cs * launch * log2 s + 4 M N s / (em * bandwidth))
 *   waves = 1 below one full wave, else n + lambda (ceil(n) - n), n = tiles * s / SMs
 */
#include "hw/gemm.h"

#include <math.h>
#include <stdint.h>

/* Tile shapes and splits that the libraries choose from; not measurements but the model's own grid.
 * Large tiles come first: they are mostly best. */
typedef struct Tile {
    size_t height, width; /* indices of its rows and columns */
    double rows, columns;
    double thinness; /* 1/a + 1/b over that of the tile that carries no penalty */
} Tile;
#define TILE(height, width, a, b)                                                                  \
    {                                                                                              \
        height, width, a, b, 1.0 / (a) + 1.0 / (b) - (1.0 / 128 + 1.0 / 256)                       \
    }
static const Tile tile_shapes[GEMM_TILES] = {
    TILE(3, 2, 128, 256), TILE(2, 2, 64, 256),  TILE(1, 2, 32, 256), TILE(0, 2, 16, 256),
    TILE(4, 1, 256, 128), TILE(3, 1, 128, 128), TILE(2, 1, 64, 128), TILE(1, 1, 32, 128),
    TILE(0, 1, 16, 128),  TILE(4, 0, 256, 64),  TILE(3, 0, 128, 64), TILE(2, 0, 64, 64),
    TILE(1, 0, 32, 64),   TILE(0, 0, 16, 64),
};
static const double tile_rows[] = {16, 32, 64, 128, 256}; /* each is twice the one before */
static const double tile_columns[] = {64, 128, 256};
enum { TILE_ROWS = 5, TILE_COLUMNS = 3, MOST_DOUBLINGS = 5, LEAST_K_OF_A_SPLIT = 64 };

static const double output_bytes = 2;        /* bf16, also from fp8 operands */
static const double partial_sum_bytes = 4;   /* fp32 */
static const double fp4_bytes = 4.25 / 8;    /* with a scale of 8 bits for 32 */
static const double int8_quantise_bytes = 3; /* an element read in 16 bits and written in 8 */

static int has_fp8(const GpuSpec *gpu)
{
    return gpu->peak_fp8_flops_per_s > 0 && gpu->gemm_fp8.compute_efficiency > 0;
}

static int is_int8(const GpuSpec *gpu, Precision precision)
{
    return precision == PRECISION_INT8 && gpu->peak_int8_flops_per_s > 0;
}

double gpu_peak_flops_per_s(const GpuSpec *gpu, Precision precision)
{
    if (is_int8(gpu, precision))
        return gpu->peak_int8_flops_per_s;
    return precision == PRECISION_FP8 && has_fp8(gpu) ? gpu->peak_fp8_flops_per_s
                                                      : gpu->peak_bf16_flops_per_s;
}

GemmMachine gemm_machine(const GpuSpec *gpu, Precision precision)
{
    const int int8 = is_int8(gpu, precision);
    const int narrow = int8 || (precision == PRECISION_FP8 && has_fp8(gpu));
    const GemmFit *fit = narrow && has_fp8(gpu) ? &gpu->gemm_fp8 : &gpu->gemm_bf16;
    GemmMachine machine = {
        .gpu = gpu,
        .precision = precision,
        .fit = fit,
        .sm_flops_per_s = fit->compute_efficiency * gpu_peak_flops_per_s(gpu, precision) / gpu->sms,
        .memory_bytes_per_s = fit->memory_efficiency * gpu->memory_bytes_per_s,
        .hbm_bytes_per_s = gpu->memory_bytes_per_s,
        .sms = gpu->sms,
        .operand_bytes = narrow ? 1 : 2,
        .weight_bytes = narrow                       ? 1
                        : precision == PRECISION_FP4 ? fp4_bytes
                                                     : 2,
        .quantise_bytes = int8 && !has_fp8(gpu) ? int8_quantise_bytes : fit->quantise_cost,
    };
    for (size_t i = 0; i < GEMM_TILES; i++) {
        const Tile *tile = &tile_shapes[i];
        const double penalty = 1 + fit->tile_penalty * tile->thinness;
        machine.tile_flops[i] = 2 * tile->rows * tile->columns * penalty;
    }
    return machine;
}

static double waves(double rounds, double wave_quantisation)
{
    if (rounds <= 1)
        return 1;
    return rounds + wave_quantisation * (ceil(rounds) - rounds);
}

/* Seconds of the best split of k with one tile. `rounds`: full waves without a split; `work`: FLOPs
 * of a tile for each element of k, penalty included. */
static double tile_seconds(const GemmMachine *machine, double rounds, double work, double k,
                           double partial_s)
{
    const GemmFit *fit = machine->fit;
    const double s_per_k = work / machine->sm_flops_per_s;
    double split = 1, best = HUGE_VAL;
    for (int doublings = 0; doublings <= MOST_DOUBLINGS; doublings++, split *= 2) {
        if (split > 1 && k / split < LEAST_K_OF_A_SPLIT)
            break;
        double seconds =
            waves(rounds * split, fit->wave_quantisation) * (k / split + fit->k_overhead) * s_per_k;
        if (split > 1)
            seconds += fit->split_k_cost * fit->launch_s * doublings + partial_s * split;
        best = seconds < best ? seconds : best;
        /* Past one full wave a further split only adds work. */
        if (rounds * split > 1)
            break;
    }
    return best;
}

/* Seconds of the arithmetic. row_tiles[i]: tiles of tile_rows[i] rows that cover all rows (of each
 * expert, summed); `outputs`: elements of C. No split makes a tile faster than its FLOPs on all SMs
 * (waves >= rounds, k_overhead >= 0), less what rounding may take: most tiles need no second look.
 */
static double compute_seconds(const GemmMachine *machine, const double row_tiles[TILE_ROWS],
                              double n, double k, double outputs)
{
    static const double less_rounding = 1 - 1e-9;
    const double partial_s = partial_sum_bytes * outputs / machine->memory_bytes_per_s;
    const double flops_per_s = machine->sm_flops_per_s * machine->sms;
    double column_tiles[TILE_COLUMNS], best = HUGE_VAL;
    for (size_t i = 0; i < TILE_COLUMNS; i++)
        column_tiles[i] = ceil(n / tile_columns[i]);
    for (size_t i = 0; i < GEMM_TILES; i++) {
        const Tile *tile = &tile_shapes[i];
        const double work = machine->tile_flops[i];
        const double tiles = row_tiles[tile->height] * column_tiles[tile->width];
        if (tiles * work * k * less_rounding >= best * flops_per_s)
            continue;
        const double seconds = tile_seconds(machine, tiles / machine->sms, work, k, partial_s);
        best = seconds < best ? seconds : best;
    }
    return best;
}

/* `rows` of A and C in all, `matrices` different B that are read. */
static double product_seconds(const GemmMachine *machine, double compute_s, double rows,
                              double matrices, double n, double k)
{
    const GemmFit *fit = machine->fit;
    const double bytes = machine->operand_bytes * rows * k +
                         machine->weight_bytes * matrices * k * n + output_bytes * rows * n;
    const double memory_s = bytes / machine->memory_bytes_per_s;
    const double quantise_s = machine->quantise_bytes * rows * k / machine->hbm_bytes_per_s;

    /* The p-norm of two, with the larger taken out so that nothing overflows. */
    const double larger = fmax(compute_s, memory_s);
    const double ratio = fmin(compute_s, memory_s) / larger;
    const double p = fit->overlap_exponent;
    return fit->launch_s + larger * pow(1 + pow(ratio, p), 1 / p) + quantise_s;
}

double gpu_measured_seconds(const MeasuredKernel *kernel, double flops, double bytes)
{
    const double move_s = bytes / kernel->bytes_per_s;
    const double compute_s = kernel->flops_per_s > 0 ? flops / kernel->flops_per_s : 0;
    const double larger = fmax(move_s, compute_s);
    const double ratio = larger > 0 ? fmin(move_s, compute_s) / larger : 0;
    const double q = kernel->overlap_exponent;
    return kernel->launch_s + larger * pow(1 + pow(ratio, q), 1 / q);
}

/* What was measured of this device serves products of 16 bits and more, with weights of as many. */
static int is_measured(const MeasuredKernel *kernel, Precision precision)
{
    const int wide =
        precision == PRECISION_BF16 || precision == PRECISION_FP16 || precision == PRECISION_FP32;
    return kernel->bytes_per_s > 0 && wide;
}

static double measured_product_seconds(const MeasuredKernel *kernel, double rows, double matrices,
                                       double n, double k)
{
    const double bytes = kernel->element_bytes * (matrices * n * k + rows * (n + k));
    return gpu_measured_seconds(kernel, 2 * rows * n * k, bytes);
}

double gpu_gemm_seconds(const GpuSpec *gpu, Precision precision, double m, double n, double k)
{
    if (is_measured(&gpu->calibration.gemm, precision) && m > 0 && n > 0 && k > 0)
        return measured_product_seconds(&gpu->calibration.gemm, m, 1, n, k);
    return gpu_grouped_gemm_seconds(gpu, precision, &m, 1, n, k);
}

/* Tiles of each height that cover `rows`, added up: ceil(x / 2) of ceil(x) is ceil of x / 2. */
static void add_row_tiles(double rows, double row_tiles[TILE_ROWS])
{
    static const double exactly_whole = 1e15;
    double tiles = ceil(rows / tile_rows[0]);
    if (tiles > exactly_whole) {
        for (size_t i = 0; i < TILE_ROWS; i++)
            row_tiles[i] += ceil(rows / tile_rows[i]);
        return;
    }
    uint64_t count = (uint64_t)tiles;
    for (size_t i = 0; i < TILE_ROWS; i++, count = (count + 1) / 2)
        row_tiles[i] += (double)count;
}

double gemm_machine_seconds(const GemmMachine *machine, const double *rows, size_t experts,
                            double n, double k)
{
    double row_tiles[TILE_ROWS] = {0};
    double all_rows = 0, touched = 0;
    for (size_t expert = 0; expert < experts; expert++) {
        if (!(rows[expert] > 0))
            continue;
        touched++;
        all_rows += rows[expert];
        add_row_tiles(rows[expert], row_tiles);
    }
    if (touched == 0 || n <= 0 || k <= 0)
        return 0;
    if (experts > 1 && is_measured(&machine->gpu->calibration.moe_gemm, machine->precision))
        return measured_product_seconds(&machine->gpu->calibration.moe_gemm, all_rows, touched, n,
                                        k);
    const double compute_s = compute_seconds(machine, row_tiles, n, k, all_rows * n);
    return product_seconds(machine, compute_s, all_rows, touched, n, k);
}

double gpu_grouped_gemm_seconds(const GpuSpec *gpu, Precision precision, const double *rows,
                                size_t experts, double n, double k)
{
    const GemmMachine machine = gemm_machine(gpu, precision);
    return gemm_machine_seconds(&machine, rows, experts, n, k);
}

double gpu_grouped_gemm_tile_seconds(const GpuSpec *gpu, Precision precision, const GemmTile *tile,
                                     const double *rows, size_t experts, double n, double k)
{
    double row_tiles = 0, all_rows = 0, touched = 0;
    for (size_t expert = 0; expert < experts; expert++) {
        if (!(rows[expert] > 0))
            continue;
        touched++;
        all_rows += rows[expert];
        row_tiles += ceil(rows[expert] / tile->rows);
    }
    if (touched == 0 || n <= 0 || k <= 0)
        return 0;
    const GemmMachine machine = gemm_machine(gpu, precision);
    const double tiles = row_tiles * ceil(n / tile->columns);
    const double tile_s =
        2 * tile->rows * tile->columns * (k + machine.fit->k_overhead) / machine.sm_flops_per_s;
    const double compute_s = waves(tiles / machine.sms, machine.fit->wave_quantisation) * tile_s;
    const double traffic_bytes =
        tile->traffic * tiles * (tile->rows + tile->columns) * k * machine.operand_bytes;
    return product_seconds(&machine, compute_s, all_rows, touched, n, k) +
           traffic_bytes / machine.hbm_bytes_per_s;
}

GpuSpec gpu_with_quantised_operands(const GpuSpec *gpu)
{
    GpuSpec given = *gpu;
    given.gemm_fp8.launch_s = gpu->gemm_bf16.launch_s;
    given.gemm_fp8.split_k_cost = gpu->gemm_bf16.split_k_cost;
    given.gemm_fp8.quantise_cost = 0;
    return given;
}

double gpu_quantise_seconds(const GpuSpec *gpu, Precision precision, double rows, double k)
{
    if (precision != PRECISION_FP8 || !has_fp8(gpu) || rows <= 0 || k <= 0)
        return 0;
    /* kernels of their own, which the fit has in its constant part */
    const double launch_s = fmax(0, gpu->gemm_fp8.launch_s - gpu->gemm_bf16.launch_s);
    return launch_s + gpu->gemm_fp8.quantise_cost * rows * k / gpu->memory_bytes_per_s;
}

double gpu_memory_bound_seconds(const GpuSpec *gpu, double bytes)
{
    if (bytes <= 0)
        return 0;
    if (gpu->calibration.copy.bytes_per_s > 0)
        return gpu_measured_seconds(&gpu->calibration.copy, 0, bytes);
    return gpu->elementwise_launch_s + bytes / (gpu->stream_efficiency * gpu->memory_bytes_per_s);
}

/* GFLOP/s of the CPU backend's expert products as a share of plain sgemm: the same FLOPs in two
 * large products by the same kernels, measured in turn in the same run. Medians of the rounds, the
 * share's too. One thread's time is its CPU time, which other programs do not stretch beyond the
 * caches they spoil.
 *
 *   tests/bench/moe [THREADS]
 */
#include "hw/calibration/cpu/blas_core.h"
#include "hw/calibration/cpu/moe_cpu.h"

#include <cblas.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 15, WARM_UP = 3 };

static double now_s(int threads)
{
    struct timespec now;
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

static float *random_floats(size_t count, uint64_t *state)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; values != NULL && i < count; ++i) {
        *state = *state * 6364136223846793005U + 1442695040888963407U;
        values[i] = (float)(*state >> 40) * 0x1p-23F - 1.0F;
    }
    return values;
}

/* All rows of all experts through one matrix each: what sgemm can do at its best. */
static void plain_sgemm(const MoeShape *shape, const float *rows, const float *weights, float *pre,
                        float *out)
{
    const int m = (int)(shape->tokens * shape->top_k), n = (int)moe_w_in_rows(shape);
    const int k = (int)shape->hidden, ffn = (int)shape->ffn;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0F, rows, k, weights, k, 0.0F,
                pre, n);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, k, ffn, 1.0F, pre, ffn, weights, ffn,
                0.0F, out, k);
}

static int measure(size_t rows_per_expert, int threads)
{
    const MoeShape shape = {.tokens = rows_per_expert * 8,
                            .hidden = 1024,
                            .ffn = 1792,
                            .experts = 16,
                            .top_k = 2,
                            .gated = 1};
    const size_t copies = shape.tokens * shape.top_k;
    uint64_t state = 1;
    float *x = random_floats(shape.tokens * shape.hidden, &state);
    float *router = random_floats(shape.experts * shape.hidden, &state);
    float *w_in = random_floats(moe_w_in_elements(&shape), &state);
    float *w_out = random_floats(moe_w_out_elements(&shape), &state);
    float *rows = random_floats(copies * shape.hidden, &state);
    float *pre = random_floats(copies * moe_w_in_rows(&shape), &state);
    float *out = random_floats(copies * shape.hidden, &state);
    const MoeInputs inputs = {.x = x, .router = router, .w_in = w_in, .w_out = w_out};
    double expert_s[ROUNDS], plain_s[ROUNDS], share[ROUNDS];
    MoeCpuPlan *plan = NULL;
    Error error;
    int failed = !(x && router && w_in && w_out && rows && pre && out) ||
                 moe_cpu_plan(&shape, threads, &plan, &error) != STATUS_OK ||
                 moe_cpu_compute(plan, &inputs, NULL, &error) != STATUS_OK;
    for (int round = -WARM_UP; !failed && round < ROUNDS; ++round) {
        double start = now_s(threads);
        moe_cpu_expert_gemms(plan, &inputs);
        const double experts = now_s(threads) - start;
        openblas_set_num_threads(threads);
        start = now_s(threads);
        plain_sgemm(&shape, rows, w_in, pre, out);
        const double plain = now_s(threads) - start;
        if (round >= 0) {
            expert_s[round] = experts;
            plain_s[round] = plain;
            share[round] = plain / experts;
        }
    }
    if (!failed) {
        const double flops = 2.0 * (double)copies * (double)shape.hidden *
                             (double)(moe_w_in_rows(&shape) + shape.ffn);
        const double expert = median(expert_s), plain = median(plain_s);
        printf("%4zu rows an expert, %d threads: experts %6.1f GFLOP/s, plain sgemm %6.1f, share "
               "%5.1f%%\n",
               rows_per_expert, threads, 1e-9 * flops / expert, 1e-9 * flops / plain,
               100 * median(share));
    }
    moe_cpu_plan_free(plan);
    free(x), free(router), free(w_in), free(w_out), free(rows), free(pre), free(out);
    return failed;
}

int main(int count, char **words)
{
    const int threads = count > 1 ? atoi(words[1]) : 1;
    static const size_t ROWS[] = {16, 64, 256};
    blas_core_choose(words);
    printf("expert products of 16 experts, 1024 x 1792 gated, against plain sgemm (%s)\n",
           openblas_get_corename());
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; ++i)
        if (measure(ROWS[i], threads > 0 ? threads : 1) != 0)
            return 1;
    return 0;
}

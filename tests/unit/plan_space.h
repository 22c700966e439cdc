/* For tests and benchmarks: random plans of a training scenario, as a search would meet them. Most
 * numbers are drawn from what people run; ways multiply to one of the GPU counts, so that few plans
 * contradict themselves and many do. */
#ifndef TESTS_UNIT_PLAN_SPACE_H
#define TESTS_UNIT_PLAN_SPACE_H

#include "sim/engine/random.h"
#include "sim/training/plan_evaluator.h"

#include <math.h>
#include <string.h>

static inline double plan_space_pick(RandomStream *stream, const double *values, size_t count)
{
    return values[(size_t)(random_uniform(stream) * (double)count)];
}

#define PLAN_SPACE_PICK(stream, ...)                                                               \
    plan_space_pick((stream), (const double[]){__VA_ARGS__},                                       \
                    sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

/* A divisor of `whole` no larger than `most`, each as likely as any other. */
static inline double plan_space_divisor(RandomStream *stream, double whole, double most)
{
    size_t count = 0;
    for (double i = 1; i <= fmin(whole, most); i++)
        count += fmod(whole, i) == 0;
    size_t chosen = (size_t)(random_uniform(stream) * (double)count);
    for (double i = 1; i <= fmin(whole, most); i++)
        if (fmod(whole, i) == 0 && chosen-- == 0)
            return i;
    return 1;
}

/* `gpus`: in the job; 0: one of several counts. Padding is zero: equal plans have equal bytes. */
static inline Plan plan_space_draw(RandomStream *stream, const Plan *base, const ModelSpec *model,
                                   double sequence_length, double gpus)
{
    Plan plan;
    memset(&plan, 0, sizeof plan);
    memcpy(&plan.parallel, &base->parallel, sizeof plan.parallel);
    ParallelSpec *parallel = &plan.parallel;
    if (gpus <= 0)
        gpus = PLAN_SPACE_PICK(stream, 8192, 15360, 24576, 24960);
    do {
        parallel->tensor = PLAN_SPACE_PICK(stream, 1, 2, 4, 8, 8, 16);
        parallel->context = PLAN_SPACE_PICK(stream, 1, 1, 1, 2, 4);
    } while (fmod(gpus, parallel->tensor * parallel->context) != 0);
    const double groups = gpus / parallel->tensor / parallel->context;
    parallel->pipeline = plan_space_divisor(stream, groups, model->layers);
    parallel->data = groups / parallel->pipeline;
    parallel->expert = model->experts > 1 ? PLAN_SPACE_PICK(stream, 1, 1, 2, 4, 8, 16) : 1;
    parallel->expert_tensor = PLAN_SPACE_PICK(stream, 0, 0, 1);
    parallel->sequence_parallel = random_uniform(stream) < 0.75;
    parallel->zero_stage = PLAN_SPACE_PICK(stream, 0, 1, 2, 3);
    parallel->micro_batch = PLAN_SPACE_PICK(stream, 1, 1, 2, 4);
    parallel->recompute = (Recompute)PLAN_SPACE_PICK(stream, 0, 1, 2);
    parallel->selective_scope = (SelectiveScope)PLAN_SPACE_PICK(stream, 0, 1, 2, 3, 4);
    parallel->recompute_stops = random_uniform(stream) < 0.25;
    parallel->schedule = (PipelineSchedule)PLAN_SPACE_PICK(stream, 0, 1, 2, 3, 4, 5);
    parallel->virtual_stages =
        parallel->schedule == SCHEDULE_INTERLEAVED ? PLAN_SPACE_PICK(stream, 2, 3, 4, 5, 8) : 1;
    parallel->overlap_grad_reduce = random_uniform(stream) < 0.5;
    parallel->overlap_param_gather = random_uniform(stream) < 0.5;
    plan.gradient_precision = random_uniform(stream) < 0.5 ? PRECISION_BF16 : PRECISION_FP32;
    /* a batch as it is, or of as many sequences as pipelines divide */
    plan.batch_tokens = base->batch_tokens;
    if (random_uniform(stream) < 0.5)
        plan.batch_tokens = 7680 * sequence_length;
    return plan;
}

#endif

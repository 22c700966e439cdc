/* The ways that a published row splits its GPUs in. */
#include "sim/planning/measured_laying.h"

#include <math.h>
#include <string.h>

/* ---- what follows from other cells -------------------------------------------------------------
 */

static double or_one(double ways)
{
    return measured_has(ways) ? ways : 1;
}

static int is_count(double value)
{
    return value >= 1 && floor(value) == value;
}

/* Replicas are counted apart from experts, or with context ways, in some tables. */
static void recount_replicas(Laying *laying)
{
    Measurement *row = &laying->row;
    if (!measured_has(row->gpus) || !measured_has(row->data) || !measured_has(row->tensor) ||
        !measured_has(row->pipeline))
        return;
    const double context = or_one(row->context), expert = or_one(row->expert);
    const double product = row->tensor * row->pipeline;
    const double data = row->gpus / (product * context);
    if (row->data * product * context == row->gpus || !is_count(data))
        return;
    if (row->data * product * context * expert == row->gpus || row->data * product == row->gpus)
        row->data = laying_default(laying, DEFAULT_DATA, data);
}

static int shards_everything(const Laying *laying)
{
    const double zero_stage = measured_has(laying->row.zero_stage)
                                  ? laying->row.zero_stage
                                  : laying->base->scenario.training.parallel.zero_stage;
    return zero_stage >= 3;
}

/* One of tensor and pipeline ways, as a fact states it. A stack or row that shards everything over
 * the data (ZeRO-3, FSDP) has no other ways unless it says so. */
static double fact_ways(Laying *laying, MeasuredDefault which, const char *key, double ways,
                        double of_base)
{
    if (measured_has(ways))
        return ways;
    if (measured_base_has_fact(laying->base, key))
        return laying_default(laying, which, of_base);
    return ways;
}

void laying_fill_ways(Laying *laying)
{
    Measurement *row = &laying->row;
    const ParallelSpec *base = &laying->base->scenario.training.parallel;
    row->tensor =
        fact_ways(laying, DEFAULT_TENSOR, "training.parallel.tensor", row->tensor, base->tensor);
    row->pipeline = fact_ways(laying, DEFAULT_PIPELINE, "training.parallel.pipeline", row->pipeline,
                              base->pipeline);
    if (!measured_has(row->gpus) && measured_has(row->data) && measured_has(row->tensor) &&
        measured_has(row->pipeline))
        row->gpus = laying_default(laying, DEFAULT_GPUS,
                                   row->data * row->tensor * row->pipeline * or_one(row->context));
    laying_needed(laying, "n_gpus", row->gpus);
    const int no_tensor = !measured_has(row->tensor), no_pipeline = !measured_has(row->pipeline);
    if ((no_tensor || no_pipeline) && laying->status == STATUS_OK) {
        /* What the stated ways leave; without replicas nothing tells, and one is taken where it
         * fits. */
        double rest = 1;
        if (measured_has(row->data))
            rest = row->gpus /
                   (row->data * or_one(row->tensor) * or_one(row->pipeline) * or_one(row->context));
        else
            laying->ways_assumed = !shards_everything(laying) && row->gpus > 1;
        if (!is_count(rest))
            laying_refuse(laying, "n_gpus %g is no multiple of the ways that are stated",
                          row->gpus);
        else if (no_tensor && no_pipeline && rest > 1)
            laying_refuse(laying, "tp and pp are not stated, only that they make %g ways", rest);
        if (no_tensor)
            row->tensor = laying_default(laying, DEFAULT_TENSOR, rest);
        if (no_pipeline)
            row->pipeline = laying_default(laying, DEFAULT_PIPELINE, no_tensor ? 1 : rest);
    }
    if (laying->status == STATUS_OK)
        recount_replicas(laying);
}

/* ---- the layout --------------------------------------------------------------------------------
 */

/* Sources that leave the virtual stages out often use them all the same; a stack that interleaves
 * by default then has chunks of one layer each, where layers and microbatches allow it. */
static double unstated_chunks(Laying *laying)
{
    const Measurement *row = &laying->row;
    const ParallelSpec *parallel = &laying->out->training.parallel;
    const double layers = laying->out->model.layers;
    const double micro = measured_has(row->micro_batch) ? row->micro_batch : parallel->micro_batch;
    const double microbatches = row->batch_sequences / (parallel->data * micro);
    if (row->schedule[0] != '\0' || parallel->schedule != SCHEDULE_INTERLEAVED)
        return 1;
    if (parallel->pipeline > 1 && fmod(layers, parallel->pipeline) == 0 &&
        fmod(microbatches, parallel->pipeline) == 0)
        return laying_default(laying, DEFAULT_CHUNKS, layers / parallel->pipeline);
    return 1;
}

static void lay_schedule(Laying *laying)
{
    const Measurement *row = &laying->row;
    double chunks =
        measured_has(row->virtual_stages) ? row->virtual_stages : unstated_chunks(laying);
    if (row->schedule[0] != '\0')
        laying_put_word(laying, "training.parallel.schedule", row->schedule);
    if (chunks <= 1)
        return;
    if (row->schedule[0] == '\0' &&
        !measured_base_has_fact(laying->base, "training.parallel.schedule"))
        laying_put_word(laying, "training.parallel.schedule", "interleaved");
    laying_put(laying, "training.parallel.virtual_stages", chunks);
}

/* Megatron-LM cuts experts by the tensor ways unless told otherwise (expert_tensor_parallel_size);
 * where that cannot be, expert ways of their own are the only reading. */
static void lay_expert_ways(Laying *laying, double tensor, double ranks)
{
    const ParallelSpec *of_base = &laying->base->scenario.training.parallel;
    const int known = measured_base_has_fact(laying->base, "training.parallel.expert");
    double expert =
        laying_stated(laying, DEFAULT_EXPERT, laying->row.expert, known ? of_base->expert : 1);
    double base = laying->base->scenario.training.parallel.expert_tensor;
    laying_put(laying, "training.parallel.expert", expert);
    if (base > 0 || expert <= 1 || fmod(ranks, expert * tensor) == 0)
        return;
    laying_put(laying, "training.parallel.expert_tensor",
               laying_default(laying, DEFAULT_EXPERT_TENSOR, 1));
}

static void lay_sequence_parallel(Laying *laying, double tensor)
{
    const Measurement *row = &laying->row;
    const ParallelSpec *base = &laying->base->scenario.training.parallel;
    const double sequence =
        measured_has(row->sequence_parallel) ? row->sequence_parallel : base->sequence_parallel;
    if (!measured_has(row->sequence_parallel) && tensor > 1)
        default_take(&laying->defaults, DEFAULT_SEQUENCE);
    laying_put_word(laying, "training.parallel.sequence_parallel",
                    sequence != 0 ? "true" : "false");
}

void laying_layout(Laying *laying)
{
    const Measurement *row = &laying->row;
    const ParallelSpec *base = &laying->base->scenario.training.parallel;
    const double tensor = row->tensor, pipeline = row->pipeline;
    double context = laying_stated(laying, DEFAULT_CONTEXT, row->context, 1);
    if (laying->status != STATUS_OK)
        return;
    double data = row->data;
    if (!measured_has(data)) {
        data = laying_default(laying, DEFAULT_DATA, row->gpus / (tensor * pipeline * context));
        if (!is_count(data))
            laying_refuse(laying, "n_gpus %g is no multiple of tp %g x pp %g x cp %g", row->gpus,
                          tensor, pipeline, context);
    }
    laying_put(laying, "training.parallel.tensor", tensor);
    laying_put(laying, "training.parallel.pipeline", pipeline);
    laying_put(laying, "training.parallel.context", context);
    laying_put(laying, "training.parallel.data", data);
    laying_put(laying, "training.parallel.zero_stage",
               laying_stated(laying, DEFAULT_ZERO, row->zero_stage, base->zero_stage));
    lay_sequence_parallel(laying, tensor);
    if (laying->out->model.experts > 1)
        lay_expert_ways(laying, tensor, tensor * context * data);
    if (measured_base_has_fact(laying->base, "training.parallel.recompute"))
        laying->out->training.parallel.recompute = base->recompute;
    else if (row->recompute[0] != '\0')
        laying_put_word(laying, "training.parallel.recompute", row->recompute);
    else
        default_take(&laying->defaults, DEFAULT_RECOMPUTE);
    lay_schedule(laying);
}

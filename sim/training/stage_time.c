#include "sim/training/stage_time.h"

#include "hw/attention.h"
#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/operators.h"
#include "models/plan_check.h"
#include "sim/training/data_parallel.h"
#include "sim/training/expert_load.h"

#include <math.h>
#include <stdlib.h>

/* Forward and backward of one microbatch in one block: a layer, the embedding or the head. */
typedef struct BlockTime {
    StagePhase forward, backward;
    double attention_s; /* attention cores of the forward, for selective recomputation */
} BlockTime;

/* What the seconds of an operator depend on besides its shape. */
typedef struct Clock {
    const Scenario *scenario;
    Precision precision; /* of this block's matrix products */
    const ExpertLoad *load;
    size_t draw;
    double *rows; /* scratch for one rank's experts */
    double tensor_ranks_per_node, expert_ranks_per_node;
} Clock;

typedef struct Seconds {
    double forward, backward;
} Seconds;

static Seconds dense_gemm(const Clock *clock, const Operator *op)
{
    const GpuSpec *gpu = &clock->scenario->hardware.gpu;
    Seconds seconds = {.forward = gpu_gemm_seconds(gpu, clock->precision, op->m, op->n, op->k)};
    /* C[m,n] = A[m,k] B[k,n]: dA[m,k] = dC B^T, and dB[k,n] = A^T dC for weights. */
    seconds.backward = gpu_gemm_seconds(gpu, clock->precision, op->m, op->k, op->n);
    if (op->backward_twice != 0)
        seconds.backward += gpu_gemm_seconds(gpu, clock->precision, op->k, op->n, op->m);
    return seconds;
}

/* One rank's experts: `rows` of them, products per expert in one launch. The weight gradient of
 * expert e is dB_e[k,n] = A_e^T[k,rows_e] dC_e: equal m = k for all, depth rows_e, of which the
 * mean is taken. */
static Seconds rank_grouped_gemm(const Clock *clock, const Operator *op, size_t experts)
{
    const GpuSpec *gpu = &clock->scenario->hardware.gpu;
    Seconds seconds = {
        .forward =
            gpu_grouped_gemm_seconds(gpu, clock->precision, clock->rows, experts, op->n, op->k),
        .backward =
            gpu_grouped_gemm_seconds(gpu, clock->precision, clock->rows, experts, op->k, op->n),
    };
    if (op->backward_twice == 0)
        return seconds;
    size_t used = 0;
    double total = 0.0;
    for (size_t i = 0; i < experts; i++) {
        if (clock->rows[i] <= 0.0)
            continue;
        total += clock->rows[i];
        clock->rows[used++] = op->k;
    }
    if (used > 0)
        seconds.backward += gpu_grouped_gemm_seconds(gpu, clock->precision, clock->rows, used,
                                                     op->n, total / (double)used);
    return seconds;
}

/* Every rank's time from its own experts' loads; all wait for the slowest. */
static void grouped_gemm(const Clock *clock, const Operator *op, Seconds *mean, Seconds *worst)
{
    const double *share = expert_load_share(clock->load, clock->draw);
    size_t ranks = clock->load->ranks;
    size_t experts = clock->load->experts / ranks;
    double all_rows = op->m * (double)ranks;
    size_t distinct = clock->load->draws > 1 ? ranks : 1; /* balanced ranks are all alike */

    *mean = *worst = (Seconds){0};
    for (size_t rank = 0; rank < distinct; rank++) {
        for (size_t i = 0; i < experts; i++)
            clock->rows[i] = share[rank * experts + i] * all_rows;
        Seconds seconds = rank_grouped_gemm(clock, op, experts);
        mean->forward += seconds.forward / (double)distinct;
        mean->backward += seconds.backward / (double)distinct;
        worst->forward = fmax(worst->forward, seconds.forward);
        worst->backward = fmax(worst->backward, seconds.backward);
    }
}

static Seconds attention_core(const Clock *clock, const Operator *op)
{
    const GpuSpec *gpu = &clock->scenario->hardware.gpu;
    AttentionKernel kernel = clock->scenario->training.attention;
    double head_dim = clock->scenario->model.head_dim;
    return (Seconds){
        .forward = gpu_attention_forward_seconds(gpu, kernel, op->m, op->n, op->k, head_dim),
        .backward = gpu_attention_backward_seconds(gpu, kernel, op->m, op->n, op->k, head_dim),
    };
}

/* The backward of an operator that only moves bytes reads what it wrote and the gradient: twice the
 * bytes. */
static Seconds memory_bound(const Clock *clock, const Operator *op)
{
    const GpuSpec *gpu = &clock->scenario->hardware.gpu;
    return (Seconds){.forward = gpu_memory_bound_seconds(gpu, op->bytes),
                     .backward = gpu_memory_bound_seconds(gpu, 2.0 * op->bytes)};
}

static double tensor_collective(const Clock *clock, const Operator *op, Collective collective)
{
    const ParallelSpec *parallel = &clock->scenario->training.parallel;
    if (parallel->tensor <= 1.0)
        return 0.0;
    double seconds = collective_seconds(&clock->scenario->hardware, collective, op->bytes,
                                        parallel->tensor, clock->tensor_ranks_per_node);
    return seconds * (1.0 - parallel->tensor_overlap);
}

static double expert_collective(const Clock *clock, double bytes)
{
    double ranks = clock->scenario->training.parallel.expert;
    if (ranks <= 1.0)
        return 0.0;
    return collective_seconds(&clock->scenario->hardware, COLLECTIVE_ALL_TO_ALL, bytes, ranks,
                              clock->expert_ranks_per_node);
}

static void add_compute(BlockTime *block, Seconds seconds)
{
    block->forward.compute_s += seconds.forward;
    block->backward.compute_s += seconds.backward;
}

/* Communication is done again in the backward: the gradient takes the opposite way. */
static void add_operator(const Clock *clock, const Operator *op, BlockTime *block)
{
    Seconds mean, worst;
    double seconds;
    switch (op->kind) {
    case OPERATOR_GEMM:
        add_compute(block, dense_gemm(clock, op));
        break;
    case OPERATOR_GROUPED_GEMM:
        grouped_gemm(clock, op, &mean, &worst);
        add_compute(block, mean);
        block->forward.expert_imbalance_s += worst.forward - mean.forward;
        block->backward.expert_imbalance_s += worst.backward - mean.backward;
        break;
    case OPERATOR_ATTENTION:
        mean = attention_core(clock, op);
        add_compute(block, mean);
        block->attention_s += mean.forward;
        break;
    case OPERATOR_MEMORY:
        add_compute(block, memory_bound(clock, op));
        break;
    case OPERATOR_ALL_REDUCE:
    case OPERATOR_ALL_GATHER:
    case OPERATOR_REDUCE_SCATTER:
        seconds = tensor_collective(clock, op,
                                    op->kind == OPERATOR_ALL_REDUCE   ? COLLECTIVE_ALL_REDUCE
                                    : op->kind == OPERATOR_ALL_GATHER ? COLLECTIVE_ALL_GATHER
                                                                      : COLLECTIVE_REDUCE_SCATTER);
        block->forward.tensor_s += seconds;
        block->backward.tensor_s += seconds;
        break;
    case OPERATOR_ALL_TO_ALL:
        seconds = expert_collective(clock, op->bytes);
        block->forward.expert_s += seconds;
        block->backward.expert_s += seconds;
        /* the busiest rank receives as many times more bytes as it has rows */
        seconds =
            expert_collective(clock, op->bytes * expert_load_worst(clock->load, clock->draw)) -
            seconds;
        block->forward.expert_imbalance_s += seconds;
        block->backward.expert_imbalance_s += seconds;
        break;
    }
}

static BlockTime block_time(const Clock *clock, const OperatorList *list)
{
    BlockTime block = {0};
    for (size_t i = 0; i < list->count; i++)
        add_operator(clock, &list->operators[i], &block);

    /* What no kernel table sees slows kernels, not wires. */
    double slower = 1.0 + clock->scenario->training.kernel_overhead;
    block.forward.compute_s *= slower;
    block.backward.compute_s *= slower;
    block.attention_s *= slower;
    return block;
}

/* Recomputation runs before a layer's backward (Korthikanti et al. 2022, section 5): the whole
 * forward, its communication included, or the attention core alone. */
static void add_recomputation(Recompute recompute, BlockTime *block)
{
    if (recompute == RECOMPUTE_SELECTIVE)
        block->backward.recompute_s += block->attention_s;
    if (recompute != RECOMPUTE_FULL)
        return;
    block->backward.recompute_s += block->forward.compute_s;
    block->backward.tensor_s += block->forward.tensor_s;
    block->backward.expert_s += block->forward.expert_s;
    block->backward.expert_imbalance_s += block->forward.expert_imbalance_s;
}

static void add_phase(StagePhase *sum, const StagePhase *part)
{
    sum->compute_s += part->compute_s;
    sum->recompute_s += part->recompute_s;
    sum->tensor_s += part->tensor_s;
    sum->expert_s += part->expert_s;
    sum->expert_imbalance_s += part->expert_imbalance_s;
    sum->sharding_s += part->sharding_s;
}

static void add_block(StageTime *stage, const BlockTime *block)
{
    add_phase(&stage->forward, &block->forward);
    add_phase(&stage->backward, &block->backward);
}

static void total_phase(StagePhase *phase)
{
    phase->total_s = phase->compute_s + phase->recompute_s + phase->tensor_s + phase->expert_s +
                     phase->expert_imbalance_s + phase->sharding_s;
}

/* Communication layer by layer beside computation that needs it: two servers in tandem with L equal
 * jobs each. What does not hide is the first job, or what is left after L - 1 layers of computing.
 */
static double exposed_s(int overlap, double communication_s, double compute_s, double layers)
{
    if (overlap == 0)
        return communication_s;
    return fmax(communication_s / layers, communication_s - compute_s * (layers - 1.0) / layers);
}

/* ZeRO-3 keeps neither weights nor gradients whole: every microbatch gathers weights in the forward
 * and again in the backward, and reduces its gradients at once, so none of it is left for the end
 * of the step. */
static void add_sharding(const ParallelSpec *parallel, const DataParallelTime *time,
                         StageTime *stage)
{
    double layers = fmax(1.0, stage->layers);
    total_phase(&stage->forward);
    total_phase(&stage->backward);
    stage->forward.sharding_s =
        exposed_s(parallel->overlap_param_gather, time->gather_s, stage->forward.total_s, layers);
    stage->backward.sharding_s =
        exposed_s(parallel->overlap_param_gather, time->gather_s, stage->backward.total_s, layers) +
        exposed_s(parallel->overlap_grad_reduce, time->reduce_s, stage->backward.total_s, layers);
}

/* Parameters of experts that the expert-parallel group shares out, on one GPU of a stage. */
static double spread_expert_parameters(const Scenario *scenario, double layers)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    if (parallel->expert <= 1.0 || scenario->model.experts <= 1.0)
        return 0.0;
    double one_expert = model_parameters(&scenario->model).expert_per_layer;
    return layers * one_expert * scenario->model.experts / (parallel->expert * parallel->tensor);
}

static void finish_stage(const Scenario *scenario, const StageLayout *layout, size_t index,
                         StageTime *stage)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    stage->parameters = stage_parameters(scenario, layout, index);
    stage->memory_bytes = stage_memory(scenario, layout, index).total_bytes;

    double expert_parameters =
        fmin(stage->parameters, spread_expert_parameters(scenario, stage->layers));
    DataParallelTime time = data_parallel_time(scenario, stage->parameters, expert_parameters);
    stage->optimizer_s = time.optimizer_s;
    if (parallel->zero_stage >= 3.0) {
        add_sharding(parallel, &time, stage);
    } else {
        stage->grad_reduce_s = time.reduce_s;
        stage->param_gather_s = time.gather_s;
    }
    total_phase(&stage->forward);
    total_phase(&stage->backward);
}

static void fill_stages(const Scenario *scenario, const ExpertLoad *load, double *rows,
                        StepInput *input)
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    const double node_gpus = scenario->hardware.node.gpus;
    Clock clock = {
        .scenario = scenario,
        .precision = training->precision,
        .load = load,
        .rows = rows,
        .tensor_ranks_per_node = fmin(parallel->tensor, node_gpus),
        .expert_ranks_per_node =
            fmin(parallel->expert, fmax(1.0, floor(node_gpus / parallel->tensor))),
    };
    OperatorList list;

    const size_t draws = load->draws > 0 ? load->draws : 1;
    BlockTime layer[MAX_LOAD_DRAWS] = {0};
    operators_layer_forward(scenario, &list);
    for (size_t draw = 0; draw < draws; draw++) {
        clock.draw = draw;
        layer[draw] = block_time(&clock, &list);
        add_recomputation(parallel->recompute, &layer[draw]);
    }

    /* Embedding and logits stay in 16 bits where the layers run in fp8. */
    if (clock.precision == PRECISION_FP8)
        clock.precision = PRECISION_BF16;
    operators_embedding(scenario, &list);
    BlockTime embedding = block_time(&clock, &list);
    operators_head(scenario, &list);
    BlockTime head = block_time(&clock, &list);

    StageLayout layout;
    stage_layout(&scenario->model, input->stages, &layout);
    size_t layer_index = 0;
    for (size_t i = 0; i < input->stages; i++) {
        StageTime *stage = &input->stage[i];
        *stage = (StageTime){.layers = layout.layers[i]};
        for (unsigned j = 0; j < layout.layers[i]; j++)
            add_block(stage, &layer[layer_index++ % draws]);
        if (i == 0)
            add_block(stage, &embedding);
        if (i + 1 == input->stages)
            add_block(stage, &head);
        finish_stage(scenario, &layout, i, stage);
    }
}

/* Activations of one microbatch; sequence parallelism leaves each tensor rank its share of the
 * tokens. Stages are the outermost way of the layout, so neighbours share a node only when the
 * whole job does. */
static double send_seconds(const Scenario *scenario, double gpus)
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    if (parallel->pipeline <= 1.0)
        return 0.0;
    double tokens = parallel->micro_batch * training->sequence_length;
    double bytes = tokens * scenario->model.d_model * precision_bytes(PRECISION_BF16);
    if (parallel->sequence_parallel != 0)
        bytes /= parallel->tensor;
    return p2p_seconds(&scenario->hardware, bytes, gpus <= scenario->hardware.node.gpus);
}

/* FLOPs that the GPUs do: the model's own, and what layers do again. The head is not recomputed. */
static double hardware_flops_per_token(const Scenario *scenario, const ModelFlops *flops)
{
    double head = 2.0 * scenario->model.d_model * scenario->model.vocab_size;
    double again = 0.0;
    if (scenario->training.parallel.recompute == RECOMPUTE_FULL)
        again = flops->forward - head;
    else if (scenario->training.parallel.recompute == RECOMPUTE_SELECTIVE)
        again = flops->attention_causal;
    return flops->training + again;
}

static Status check_counts(const Scenario *scenario, Error *error)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    double limit =
        1e9; /* of what a size_t and the memory of a simulation can hold with room to spare */
    struct {
        const char *key;
        double value, maximum;
    } counts[] = {
        {"training.parallel.tensor", parallel->tensor, limit},
        {"training.parallel.pipeline", parallel->pipeline, MAX_STAGES},
        {"training.parallel.data", parallel->data, limit},
        {"training.parallel.micro_batch", parallel->micro_batch, limit},
        {"training.batch_tokens", plan_microbatches(&scenario->training), limit},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (!(counts[i].value >= 1.0 && counts[i].value <= counts[i].maximum))
            return error_set(error, STATUS_INVALID, "%s: %g is not between 1 and %g", counts[i].key,
                             counts[i].value, counts[i].maximum);
    return STATUS_OK;
}

Status step_input(const Scenario *scenario, unsigned long long seed, unsigned long long replication,
                  StepInput *input, Error *error)
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    ExpertLoad load = {0};
    double *rows = NULL;
    Status status = check_counts(scenario, error);
    if (status != STATUS_OK)
        return status;

    input->stages = (size_t)parallel->pipeline;
    input->microbatches = (size_t)plan_microbatches(training);
    input->replicas = (size_t)parallel->data;
    input->schedule = parallel->schedule;
    input->gpus = parallel->tensor * parallel->pipeline * parallel->data;
    input->send_s = send_seconds(scenario, input->gpus);
    input->jitter = scenario->hardware.gpu.jitter;
    input->overlap_grad_reduce = parallel->overlap_grad_reduce;
    input->overlap_param_gather = parallel->overlap_param_gather;
    input->tokens = plan_step_tokens(training);

    ModelFlops flops = model_flops_per_token(&scenario->model, training->sequence_length);
    input->model_flops = flops.training * input->tokens;
    input->hardware_flops = hardware_flops_per_token(scenario, &flops) * input->tokens;
    input->peak_flops_per_s =
        input->gpus * gpu_peak_flops_per_s(&scenario->hardware.gpu, training->precision);

    status = expert_load_draw(scenario, seed, replication, &load, error);
    if (status != STATUS_OK)
        goto cleanup;
    rows = calloc(load.experts, sizeof *rows);
    if (rows == NULL) {
        status =
            error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu experts", load.experts);
        goto cleanup;
    }
    fill_stages(scenario, &load, rows, input);

cleanup:
    free(rows);
    expert_load_free(&load);
    return status;
}

#include "sim/training/block_time.h"

#include "hw/attention.h"
#include "hw/collective.h"
#include "hw/expert_dispatch.h"
#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/plan_check.h"

#include <math.h>
#include <stddef.h>

typedef struct Seconds {
    double forward, backward;
    double weight; /* of the backward: weight gradients */
} Seconds;

GpuSpec gpu_at_sustained_clock(const GpuSpec *gpu)
{
    GpuSpec slowed = *gpu;
    if (gpu->sustained > 0) {
        slowed.gemm_bf16.compute_efficiency *= gpu->sustained;
        slowed.gemm_fp8.compute_efficiency *= gpu->sustained;
    }
    return slowed;
}

static ProductKey product_key(const Clock *clock, const Operator *op)
{
    const int grouped = op->kind == OPERATOR_GROUPED_GEMM;
    return (ProductKey){.m = op->m,
                        .n = op->n,
                        .k = op->k,
                        .precision = (unsigned)clock->precision,
                        .weights = op->backward_twice != 0,
                        .ranks = grouped ? (unsigned)clock->load->ranks : 0};
}

/* What scales by rows add (torchao, float8_linear.py, recipe rowwise): each product has its own
 * copies, since rows of the one are columns of the other, so that dC and A are quantised once more
 * and the weights for either product that reads them; and the results of the backward, whose
 * products accumulate slowly, are scaled in a pass of their own (float8_ops.py). */
static Seconds row_scaling(const Clock *clock, const Operator *op, double trained)
{
    static const double result_bytes = 2.0 * 2.0; /* read and written in 16 bits */
    const GpuSpec *gpu = &clock->gpu;
    const Precision precision = clock->precision;
    const double weights_s = gpu_quantise_seconds(gpu, precision, op->n, op->k);
    if (clock->scenario->training.fp8_scaling != FP8_ROW || precision != PRECISION_FP8)
        return (Seconds){0};
    Seconds more = {
        .forward = weights_s,
        .backward = weights_s + gpu_memory_bound_seconds(gpu, result_bytes * op->m * op->k),
    };
    if (op->backward_twice != 0)
        more.weight = trained * (gpu_quantise_seconds(gpu, precision, op->m, op->k) +
                                 gpu_quantise_seconds(gpu, precision, op->m, op->n) +
                                 gpu_memory_bound_seconds(gpu, result_bytes * op->n * op->k));
    return more;
}

/* Each operand is quantised once where the products are in fp8, by the operator that writes it
 * where that is fused, and a transposed copy at once: A for the forward and the weight gradient, dC
 * for both gradients (Transformer Engine, cast_transpose; module/linear.py). The tables behind the
 * fit quantise the rows of every product. */
static Seconds dense_gemm(const Clock *clock, const Operator *op)
{
    const GpuSpec *gpu = &clock->gpu;
    const Precision precision = clock->precision;
    const double fused = clock->scenario->training.fused;
    const double trained = 1.0 - clock->scenario->training.frozen; /* weights with a gradient */
    Seconds seconds = {
        .forward = gpu_gemm_seconds(gpu, precision, op->m, op->n, op->k) -
                   fused * gpu_quantise_seconds(gpu, precision, op->m, op->k),
    };
    /* C[m,n] = A[m,k] B[k,n]: dA[m,k] = dC B^T, and dB[k,n] = A^T dC for weights. */
    seconds.backward = gpu_gemm_seconds(gpu, precision, op->m, op->k, op->n) -
                       fused * gpu_quantise_seconds(gpu, precision, op->m, op->n);
    if (op->backward_twice != 0)
        seconds.weight = trained * (gpu_gemm_seconds(gpu, precision, op->k, op->n, op->m) -
                                    gpu_quantise_seconds(gpu, precision, op->k, op->m));
    const Seconds more = row_scaling(clock, op, trained);
    seconds.forward += more.forward;
    seconds.weight += more.weight;
    seconds.backward += more.backward + seconds.weight;
    return seconds;
}

/* The weight gradient of one rank's experts, `used` of which have rows, mean_rows on average: for
 * expert e dB_e[k,n] = A_e^T[k,rows_e] dC_e, equal m = k for all, depth rows_e, of which the mean
 * is taken. Overwrites the clock's rows. */
static double grouped_weight_seconds(const Clock *clock, const GemmMachine *machine, double n,
                                     double k, size_t used, double mean_rows)
{
    const double trained = 1.0 - clock->scenario->training.frozen;
    if (used == 0)
        return 0.0;
    for (size_t i = 0; i < used; i++)
        clock->rows[i] = k;
    return trained *
           (gemm_machine_seconds(machine, clock->rows, used, n, mean_rows) -
            gpu_quantise_seconds(machine->gpu, machine->precision, k * (double)used, mean_rows));
}

/* One rank's experts: the clock's rows, products per expert in one launch. No operator before an
 * expert quantises its rows, which come from other ranks or in another order (Transformer Engine,
 * module/grouped_linear.py). `back`, where it is wanted: of the product back from n to k, whose
 * forward is this one's gradient and the other way round. */
static Seconds rank_grouped_gemm(const Clock *clock, const GemmMachine *machine, const Operator *op,
                                 size_t experts, Seconds *back)
{
    double total = 0.0;
    size_t used = 0;
    for (size_t i = 0; i < experts; i++) {
        total += clock->rows[i];
        used += clock->rows[i] > 0.0;
    }
    Seconds seconds = {
        .forward = gemm_machine_seconds(machine, clock->rows, experts, op->n, op->k),
        .backward = gemm_machine_seconds(machine, clock->rows, experts, op->k, op->n),
    };
    const double mean_rows = used > 0 ? total / (double)used : 0.0;
    if (back != NULL) {
        *back = (Seconds){.forward = seconds.backward, .backward = seconds.forward};
        back->weight = grouped_weight_seconds(clock, machine, op->k, op->n, used, mean_rows);
        back->backward += back->weight;
    }
    if (op->backward_twice != 0)
        seconds.weight = grouped_weight_seconds(clock, machine, op->n, op->k, used, mean_rows);
    seconds.backward += seconds.weight;
    return seconds;
}

static Seconds kept_dense_gemm(const Clock *clock, const Operator *op)
{
    const ProductKey key = product_key(clock, op);
    const ProductTimes *kept = product_memo_find(clock->products, &key);
    if (kept != NULL)
        return (Seconds){kept->forward, kept->backward, kept->weight};
    const Seconds seconds = dense_gemm(clock, op);
    const ProductTimes times = {
        .forward = seconds.forward, .backward = seconds.backward, .weight = seconds.weight};
    product_memo_keep(clock->products, &key, &times);
    return seconds;
}

static void add_rank(ProductTimes *times, Seconds seconds, size_t ranks)
{
    times->forward += seconds.forward / (double)ranks;
    times->backward += seconds.backward / (double)ranks;
    times->weight += seconds.weight / (double)ranks;
    times->worst_forward = fmax(times->worst_forward, seconds.forward);
    times->worst_backward = fmax(times->worst_backward, seconds.backward);
}

/* Every rank's time from its own experts' loads; all wait for the slowest. `back` may be NULL. */
static void sample_grouped_gemm(const Clock *clock, const GemmMachine *machine, const Operator *op,
                                size_t draw, size_t sample, ProductTimes *times, ProductTimes *back)
{
    const double *share = expert_load_share(clock->load, draw, sample);
    size_t ranks = clock->load->ranks;
    size_t experts = clock->load->experts / ranks;
    double all_rows = op->m * (double)ranks;
    size_t distinct = clock->load->balanced ? 1 : ranks;

    *times = (ProductTimes){0};
    if (back != NULL)
        *back = (ProductTimes){0};
    for (size_t rank = 0; rank < distinct; rank++) {
        for (size_t i = 0; i < experts; i++)
            clock->rows[i] = share[rank * experts + i] * all_rows;
        Seconds seconds_back;
        add_rank(
            times,
            rank_grouped_gemm(clock, machine, op, experts, back != NULL ? &seconds_back : NULL),
            distinct);
        if (back != NULL)
            add_rank(back, seconds_back, distinct);
    }
}

/* The product that leads back from what `op` makes, as the second of an MLP without a gate does. */
static const Operator *find_back(const OperatorList *list, const Operator *op)
{
    for (size_t i = 0; i < list->count; i++) {
        const Operator *other = &list->operators[i];
        if (other != op && other->kind == op->kind && other->m == op->m && other->n == op->k &&
            other->k == op->n && other->backward_twice != 0)
            return other;
    }
    return NULL;
}

/* [draw][sample]. Drawn loads follow from the ranks and from the tokens that they have together,
 * which is m times the ranks over k: the key holds both. Where products are kept, the one back is
 * worked out beside it. */
static const ProductTimes *kept_grouped_gemm(const Clock *clock, const OperatorList *list,
                                             const Operator *op, ProductTimes *scratch)
{
    const ProductKey key = product_key(clock, op);
    const ExpertLoad *load = clock->load;
    const ProductTimes *kept = product_memo_find_series(clock->products, &key);
    if (kept != NULL)
        return kept;
    const GemmMachine machine = gemm_machine(&clock->gpu, clock->precision);
    const Operator *other = clock->products != NULL ? find_back(list, op) : NULL;
    ProductTimes *back = NULL;
    if (other != NULL) {
        const ProductKey other_key = product_key(clock, other);
        back = product_memo_new_series(clock->products, &other_key, NULL);
    }
    ProductTimes *times = product_memo_new_series(clock->products, &key, scratch);
    if (times == back) /* in each other's place */
        back = NULL;
    for (size_t draw = 0; draw < load->draws; draw++)
        for (size_t sample = 0; sample < load->samples; sample++) {
            const size_t place = draw * load->samples + sample;
            sample_grouped_gemm(clock, &machine, op, draw, sample, &times[place],
                                back != NULL ? &back[place] : NULL);
        }
    return times;
}

static void add_compute(BlockTime *block, Seconds seconds)
{
    block->forward.compute_s += seconds.forward;
    block->backward.compute_s += seconds.backward;
    block->backward.weight_s += seconds.weight;
}

/* The mean over the drawn microbatches: of the mean rank as computing, of what the slowest takes
 * longer as imbalance. */
static void add_grouped_gemm(const Clock *clock, const Operator *op, const ProductTimes *times,
                             BlockTime *block)
{
    const double slower = 1.0 + clock->scenario->training.kernel_overhead;
    const size_t samples = clock->load->samples;
    const double weight = 1.0 / (double)samples;
    for (size_t i = 0; i < samples; i++, times++) {
        add_compute(block, (Seconds){.forward = weight * times->forward,
                                     .backward = weight * times->backward,
                                     .weight = weight * times->weight});
        block->products_s += weight * times->forward;
        block->experts_s += slower * weight * times->forward;
        block->last_s += op->last != 0 ? slower * weight * times->forward : 0.0;
        block->forward.expert_imbalance_s += weight * (times->worst_forward - times->forward);
        block->backward.expert_imbalance_s += weight * (times->worst_backward - times->backward);
        block->drawn_forward_s[i] += times->worst_forward + (slower - 1.0) * times->forward;
        block->drawn_backward_s[i] += times->worst_backward + (slower - 1.0) * times->backward;
    }
}

static Seconds attention_round(const Clock *clock, const Operator *op)
{
    const GpuSpec *gpu = &clock->scenario->hardware.gpu;
    AttentionKernel kernel = clock->scenario->training.attention;
    return (Seconds){
        .forward = op->share *
                   gpu_attention_forward_seconds(gpu, kernel, op->m, op->n, op->k, op->head_dim),
        .backward = op->share *
                    gpu_attention_backward_seconds(gpu, kernel, op->m, op->n, op->k, op->head_dim),
    };
}

/* While a round works on the keys and values that are there, the next ones arrive; what a pass
 * takes longer than a round shows. Backward their gradients travel with them, and home at the end.
 */
static Seconds exposed_ring(const Clock *clock, const Operator *op, Seconds round)
{
    const HardwareSpec *hardware = &clock->scenario->hardware;
    const double passes = op->rounds - 1.0;
    if (passes <= 0.0)
        return (Seconds){0};
    const double pass_s = p2p_seconds(hardware, op->bytes, clock->ring_in_node);
    const double with_gradients_s = p2p_seconds(hardware, 2.0 * op->bytes, clock->ring_in_node);
    const StreamRates rates = stream_rates(&hardware->gpu, clock->ring_demand, 0.0);
    return (Seconds){
        .forward = passes * overlap_exposed_s(rates, round.forward, pass_s),
        .backward = passes * overlap_exposed_s(rates, round.backward, with_gradients_s) + pass_s,
    };
}

static void add_attention(const Clock *clock, const Operator *op, BlockTime *block)
{
    const Seconds round = attention_round(clock, op);
    const Seconds ring = exposed_ring(clock, op, round);
    block->forward.compute_s += op->rounds * round.forward;
    block->backward.compute_s += op->rounds * round.backward;
    block->attention_s += op->rounds * round.forward;
    block->forward.tensor_s += ring.forward;
    block->backward.tensor_s += ring.backward;
    block->attention_ring_s += ring.forward;
    block->attention_launch_s +=
        clock->scenario->training.launch_s * operator_kernels(clock->scenario, op);
}

/* The backward of an operator that only moves bytes reads what it wrote and the gradient: twice the
 * bytes. A fused stack does a share of it inside the kernels beside it. */
static Seconds memory_bound(const Clock *clock, const Operator *op)
{
    const GpuSpec *gpu = &clock->scenario->hardware.gpu;
    const double left = operator_left_by_fusion(clock->scenario, op);
    return (Seconds){.forward = left * gpu_memory_bound_seconds(gpu, op->bytes),
                     .backward = left * gpu_memory_bound_seconds(gpu, 2.0 * op->bytes)};
}

static void add_memory_bound(const Clock *clock, const Operator *op, BlockTime *block)
{
    const Seconds seconds = memory_bound(clock, op);
    add_compute(block, seconds);
    block->memory_bound_s += seconds.forward;
    block->light_s += op->light != 0 ? seconds.forward : 0.0;
    block->norms_s += op->light != 0 && op->experts == 0 ? seconds.forward : 0.0;
}

/* The gradient of what was gathered is summed in 16 bits, whatever it was gathered in. */
static Seconds tensor_collective(const Clock *clock, const Operator *op, Collective collective)
{
    const TrainingSpec *training = &clock->scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    const HardwareSpec *hardware = &clock->scenario->hardware;
    if (parallel->tensor <= 1.0)
        return (Seconds){0};
    Seconds seconds = {.backward =
                           collective_seconds(hardware, collective, op->bytes, parallel->tensor,
                                              clock->tensor_ranks_per_node)};
    seconds.forward = seconds.backward;
    if (training->fp8_gather && collective == COLLECTIVE_ALL_GATHER)
        seconds.forward = collective_seconds(hardware, collective,
                                             op->bytes * precision_bytes(clock->precision) /
                                                 precision_bytes(PRECISION_BF16),
                                             parallel->tensor, clock->tensor_ranks_per_node);
    return seconds;
}

/* Between the ranks that hold slices of the same expert. */
static double expert_slices_collective(const Clock *clock, const Operator *op)
{
    const ParallelSpec *parallel = &clock->scenario->training.parallel;
    return collective_seconds(
        &clock->scenario->hardware,
        op->kind == OPERATOR_EXPERT_ALL_GATHER ? COLLECTIVE_ALL_GATHER : COLLECTIVE_REDUCE_SCATTER,
        op->bytes, plan_expert_tensor_ways(parallel), clock->expert_tensor_ranks_per_node);
}

/* The share that runs beside computing is settled when all of the block's computing is known. */
static void add_tensor(const Clock *clock, Seconds seconds, BlockTime *block)
{
    const double beside = clock->scenario->training.parallel.tensor_overlap;
    block->forward.tensor_s += (1.0 - beside) * seconds.forward;
    block->backward.tensor_s += (1.0 - beside) * seconds.backward;
    block->tensor_beside_s += beside * 0.5 * (seconds.forward + seconds.backward);
}

/* Products that start on what has arrived are linear layers (Transformer Engine's user buffers);
 * the slices of an expert wait for the rows of all their ranks. */
static void add_expert_slices(const Clock *clock, const Operator *op, BlockTime *block)
{
    const double seconds = expert_slices_collective(clock, op);
    block->forward.tensor_s += seconds;
    block->backward.tensor_s += seconds;
}

/* All copies of this rank's tokens to the ranks of their experts, or back. The way there of a
 * forward is the way back of a backward, so that by the end of a block as much of either was done:
 * the mean of the two counts. */
static double expert_collective(const Clock *clock, double bytes)
{
    const Scenario *scenario = clock->scenario;
    const HardwareSpec *hardware = &scenario->hardware;
    const ParallelSpec *parallel = &scenario->training.parallel;
    if (parallel->expert <= 1.0)
        return 0.0;
    if (parallel->dispatch == DISPATCH_COPIES)
        return collective_seconds(hardware, COLLECTIVE_ALL_TO_ALL, bytes, parallel->expert,
                                  clock->expert_ranks_per_node);
    const double copies = scenario->model.experts_per_token;
    const ExpertExchange exchange = {.token_bytes = bytes / copies,
                                     .copies = copies,
                                     .ranks = parallel->expert,
                                     .ranks_per_node = clock->expert_ranks_per_node,
                                     .node_limit = scenario->model.routed_groups,
                                     .sms = parallel->dispatch_sms};
    return 0.5 * (expert_exchange_seconds(hardware, EXPERT_DISPATCH, &exchange) +
                  expert_exchange_seconds(hardware, EXPERT_COMBINE, &exchange));
}

/* The busiest rank receives as many times more bytes as it has rows. */
static void add_all_to_all(const Clock *clock, const Operator *op, size_t draw, BlockTime *block)
{
    const size_t samples = clock->load->samples;
    const double beside = clock->scenario->training.parallel.expert_overlap;
    const double even_s = expert_collective(clock, op->bytes);
    block->forward.expert_s += (1.0 - beside) * even_s;
    block->backward.expert_s += (1.0 - beside) * even_s;
    block->expert_beside_s += beside * even_s;
    for (size_t i = 0; i < samples && !clock->load->balanced; i++) {
        const double most = expert_load_worst(clock->load, draw, i);
        const double seconds = expert_collective(clock, op->bytes * most);
        const double longer_s = (seconds - even_s) / (double)samples;
        block->forward.expert_imbalance_s += (1.0 - beside) * longer_s;
        block->backward.expert_imbalance_s += (1.0 - beside) * longer_s;
        block->expert_beside_s += beside * longer_s;
        block->drawn_forward_s[i] += (1.0 - beside) * seconds;
        block->drawn_backward_s[i] += (1.0 - beside) * seconds;
    }
}

/* The host's part of a kernel that no queue hides; a collective has its own in the node. */
static void add_launches(const Clock *clock, const Operator *op, BlockTime *block)
{
    const double launch_s = clock->scenario->training.launch_s;
    if (launch_s <= 0.0 || op->kind >= OPERATOR_ALL_REDUCE)
        return;
    const double kernels = operator_kernels(clock->scenario, op);
    block->forward_launch_s += kernels * launch_s;
    block->backward_launch_s += kernels * launch_s * (op->backward_twice != 0 ? 2.0 : 1.0);
}

/* Seconds of kernels, launches included, and of exposed communication, to what recomputation may
 * be about. */
static void add_marked(const Operator *op, double seconds, double tensor_s, BlockTime *block)
{
    if (op->qkv != 0)
        block->qkv_s += seconds;
    if (op->experts != 0) {
        block->experts_s += seconds;
        block->experts_tensor_s += tensor_s;
    }
    if (op->last != 0) {
        block->last_s += seconds;
        block->last_tensor_s += tensor_s;
    }
}

/* What does not depend on the experts' loads. Communication is done again in the backward: the
 * gradient takes the opposite way. */
static void add_operator(const Clock *clock, const Operator *op, BlockTime *block)
{
    Seconds product, seconds;
    const double slower = 1.0 + clock->scenario->training.kernel_overhead;
    const double compute_s = block->forward.compute_s, launch_s = block->forward_launch_s;
    const double tensor_s = block->forward.tensor_s;
    add_launches(clock, op, block);
    switch (op->kind) {
    case OPERATOR_GEMM:
        product = kept_dense_gemm(clock, op);
        add_compute(block, product);
        block->products_s += product.forward;
        break;
    case OPERATOR_ATTENTION:
        add_attention(clock, op, block);
        break;
    case OPERATOR_MEMORY:
        add_memory_bound(clock, op, block);
        break;
    case OPERATOR_ALL_REDUCE:
    case OPERATOR_ALL_GATHER:
    case OPERATOR_REDUCE_SCATTER:
        seconds = tensor_collective(clock, op,
                                    op->kind == OPERATOR_ALL_REDUCE   ? COLLECTIVE_ALL_REDUCE
                                    : op->kind == OPERATOR_ALL_GATHER ? COLLECTIVE_ALL_GATHER
                                                                      : COLLECTIVE_REDUCE_SCATTER);
        add_tensor(clock, seconds, block);
        break;
    case OPERATOR_EXPERT_ALL_GATHER:
    case OPERATOR_EXPERT_REDUCE_SCATTER:
        add_expert_slices(clock, op, block);
        break;
    case OPERATOR_GROUPED_GEMM:
    case OPERATOR_ALL_TO_ALL:
        break; /* see add_drawn */
    }
    add_marked(
        op, slower * (block->forward.compute_s - compute_s) + (block->forward_launch_s - launch_s),
        block->forward.tensor_s - tensor_s, block);
}

double block_memory_share(const BlockTime *block)
{
    const double computed_s = block->forward.compute_s - block->forward_launch_s;
    return computed_s > 0.0 ? fmin(1.0, block->memory_bound_s / computed_s) : 0.0;
}

/* All that runs beside a phase's computing is one stream: what it takes from the GPU is the mean
 * over its time. What shows of it is shared out by kind. */
static void settle_overlap(const Clock *clock, const BlockTime *block, StagePhase *phase)
{
    const double tensor_s = block->tensor_beside_s, expert_s = block->expert_beside_s;
    const double all_s = tensor_s + expert_s;
    if (!(all_s > 0.0))
        return;
    const StreamDemand *tensor = &clock->tensor_demand, *expert = &clock->expert_demand;
    const StreamDemand demand = {
        .multiprocessors =
            (tensor->multiprocessors * tensor_s + expert->multiprocessors * expert_s) / all_s,
        .memory = (tensor->memory * tensor_s + expert->memory * expert_s) / all_s,
    };
    const StreamRates rates =
        stream_rates(&clock->scenario->hardware.gpu, demand, block_memory_share(block));
    const double exposed_s = overlap_exposed_s(rates, phase->compute_s, all_s);
    phase->tensor_s += exposed_s * tensor_s / all_s;
    phase->expert_s += exposed_s * expert_s / all_s;
}

/* Estimated from a few draws. */
static double variance_of(const double *values, size_t count)
{
    double mean = 0.0, squares = 0.0;
    if (count < 2)
        return 0.0;
    for (size_t i = 0; i < count; i++)
        mean += values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return squares / (double)(count - 1);
}

static void finish_block(const Clock *clock, BlockTime *block)
{
    /* What no kernel table sees slows kernels, not wires. */
    const double slower = 1.0 + clock->scenario->training.kernel_overhead;
    block->forward.compute_s *= slower;
    block->backward.compute_s *= slower;
    block->backward.weight_s *= slower;
    block->attention_s *= slower;
    block->products_s *= slower;
    block->kept_products_s = clock->precision == PRECISION_FP8 ? 0.0 : block->products_s / 2.0;
    block->light_s *= slower;
    block->norms_s *= slower;
    block->memory_bound_s *= slower;

    block->forward.compute_s += block->forward_launch_s;
    block->backward.compute_s += block->backward_launch_s;
    block->attention_s += block->attention_launch_s;

    settle_overlap(clock, block, &block->forward);
    settle_overlap(clock, block, &block->backward);

    block->forward.expert_variance_s2 = variance_of(block->drawn_forward_s, clock->load->samples);
    block->backward.expert_variance_s2 = variance_of(block->drawn_backward_s, clock->load->samples);
}

/* What a layer of each draw takes longer or shorter than another. */
static void add_drawn(const Clock *clock, const OperatorList *list, const Operator *op,
                      size_t draws, BlockTime *blocks)
{
    ProductTimes scratch[PRODUCT_SERIES];
    if (op->kind == OPERATOR_GROUPED_GEMM) {
        const ProductTimes *times = kept_grouped_gemm(clock, list, op, scratch);
        for (size_t draw = 0; draw < draws; draw++)
            add_grouped_gemm(clock, op, times + draw * clock->load->samples, &blocks[draw]);
    }
    for (size_t draw = 0; op->kind == OPERATOR_ALL_TO_ALL && draw < draws; draw++)
        add_all_to_all(clock, op, draw, &blocks[draw]);
}

void block_times(const Clock *clock, const OperatorList *list, size_t draws, BlockTime *blocks)
{
    BlockTime common = {0};
    for (size_t i = 0; i < list->count; i++)
        add_operator(clock, &list->operators[i], &common);
    for (size_t draw = 0; draw < draws; draw++)
        blocks[draw] = common;
    for (size_t i = 0; i < list->count; i++)
        add_drawn(clock, list, &list->operators[i], draws, blocks);
    for (size_t draw = 0; draw < draws; draw++)
        finish_block(clock, &blocks[draw]);
}

BlockTime block_time(const Clock *clock, const OperatorList *list)
{
    BlockTime block;
    block_times(clock, list, 1, &block);
    return block;
}

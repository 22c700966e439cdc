#include "models/operators.h"

#include "models/architecture.h"
#include "models/plan_check.h"
#include "models/vision.h"

#include <math.h>

/* Activations and their collectives travel in 16 bits, whatever the precision of the products. */
static const double activation_bytes = 2;
static const double accumulator_bytes = 4; /* router and logits are reduced in fp32 */

/* What every operator of a layer needs to know about the plan. */
typedef struct Cut {
    double d;
    double tokens;       /* of one microbatch, on one context-parallel rank */
    double local_tokens; /* that norms and residuals of one rank touch: sequence parallelism cuts
                            them */
    double tensor, context, expert_tensor;
    int sequence_parallel;
} Cut;

static Cut cut_of(const Scenario *scenario)
{
    const TrainingSpec *training = &scenario->training;
    Cut cut = {.d = scenario->model.d_model,
               .tensor = training->parallel.tensor,
               .context = plan_context_ways(&training->parallel),
               .expert_tensor = plan_expert_tensor_ways(&training->parallel),
               .sequence_parallel = training->parallel.sequence_parallel != 0};
    cut.tokens = training->sequence_length * training->parallel.micro_batch / cut.context;
    cut.local_tokens = cut.sequence_parallel ? cut.tokens / cut.tensor : cut.tokens;
    return cut;
}

static void add(OperatorList *list, Operator operator)
{
    if (list->count < MAX_LAYER_OPERATORS)
        list->operators[list->count++] = operator;
}

static void add_memory(OperatorList *list, const char *name, double bytes)
{
    add(list, (Operator){.name = name, .kind = OPERATOR_MEMORY, .bytes = bytes});
}

/* What `recompute_modules layernorm moe_act` of Megatron-Core does again. */
static void add_light(OperatorList *list, const char *name, double bytes)
{
    add(list, (Operator){.name = name, .kind = OPERATOR_MEMORY, .bytes = bytes, .light = 1});
}

static void add_gemm(OperatorList *list, const char *name, double m, double n, double k)
{
    add(list, (Operator){.name = name,
                         .kind = OPERATOR_GEMM,
                         .m = m,
                         .n = n,
                         .k = k,
                         .groups = 1,
                         .flops = 2 * m * n * k,
                         .backward_twice = 1});
}

static void mark_qkv(OperatorList *list)
{
    if (list->count > 0)
        list->operators[list->count - 1].qkv = 1;
}

/* All from `first` on. */
static void mark_last(OperatorList *list, size_t first)
{
    for (size_t i = first; i < list->count; i++)
        list->operators[i].last = 1;
}

static void add_grouped(OperatorList *list, const char *name, double groups, double m, double n,
                        double k)
{
    add(list, (Operator){.name = name,
                         .kind = OPERATOR_GROUPED_GEMM,
                         .m = m,
                         .n = n,
                         .k = k,
                         .groups = groups,
                         .flops = 2 * m * n * k,
                         .backward_twice = 1});
}

static void add_collective(OperatorList *list, const char *name, OperatorKind kind, double bytes)
{
    add(list, (Operator){.name = name, .kind = kind, .bytes = bytes});
}

/* Before a column-parallel product every rank needs the activations of all tokens. Sequence
 * parallelism gathers them (Korthikanti et al. 2022, figure 5); without it they are there already.
 */
static void add_gather(OperatorList *list, const Cut *cut, const char *name, double rows)
{
    if (cut->tensor > 1 && cut->sequence_parallel)
        add_collective(list, name, OPERATOR_ALL_GATHER, rows * cut->d * activation_bytes);
}

/* After a row-parallel product every rank holds a partial sum. */
static void add_reduce(OperatorList *list, const Cut *cut, const char *name, double rows)
{
    if (cut->tensor > 1)
        add_collective(list, name,
                       cut->sequence_parallel ? OPERATOR_REDUCE_SCATTER : OPERATOR_ALL_REDUCE,
                       rows * cut->d * activation_bytes);
}

/* Read and write once. */
static void add_norm(OperatorList *list, const Cut *cut, const char *name)
{
    add_light(list, name, 2 * cut->local_tokens * cut->d * activation_bytes);
}

/* Two operands in, one out. */
static void add_residual(OperatorList *list, const Cut *cut, const char *name)
{
    add_memory(list, name, 3 * cut->local_tokens * cut->d * activation_bytes);
}

/* Plain: hidden read and written. Gated: gate and up read, product written. */
static void add_activation(OperatorList *list, const ModelSpec *model, const char *name,
                           double rows, double width)
{
    add_light(list, name, (model->gated_mlp ? 3 : 2) * rows * width * activation_bytes);
}

/* Causal QK^T and PV: half of 2 products of 2 s^2 FLOPs for each channel, shared out evenly over
 * the context-parallel ranks. `kv_width`: channels of keys and values together, on this rank. */
static void add_attention_core(OperatorList *list, const Scenario *scenario, const Cut *cut,
                               double kv_width)
{
    const ModelSpec *model = &scenario->model;
    const double sequences = scenario->training.parallel.micro_batch;
    const double length = scenario->training.sequence_length;
    const double heads = model->heads / cut->tensor;
    const double head_dim = (model_query_head_dim(model) + model_value_head_dim(model)) / 2;
    const double share = model_window_share(model, length);
    add(list, (Operator){.name = "attention",
                         .kind = OPERATOR_ATTENTION,
                         .m = sequences,
                         .n = length / cut->context,
                         .k = heads,
                         .head_dim = head_dim,
                         .rounds = cut->context,
                         .share = share,
                         .bytes = cut->context > 1 ? cut->tokens * kv_width * activation_bytes : 0,
                         .flops = 2 * sequences * length * length * heads * head_dim * share /
                                  cut->context});
}

static void add_plain_attention(OperatorList *list, const Scenario *scenario, const Cut *cut)
{
    const ModelSpec *model = &scenario->model;
    const double query_width = model->heads / cut->tensor * model->head_dim;
    const double kv_width = 2 * model_kv_heads_on_rank(model, cut->tensor) * model->head_dim;
    add_gather(list, cut, "attention all-gather", cut->tokens);
    add_gemm(list, "qkv", cut->tokens, query_width + kv_width, cut->d);
    mark_qkv(list);
    add_attention_core(list, scenario, cut, kv_width);
    add_gemm(list, "attention output", cut->tokens, cut->d, query_width);
}

/* Multi-head latent attention (DeepSeek-V2, section 2.1) as trained, without absorbing matrices:
 * the products down to the latents are not cut by tensor parallelism and work on the tokens of this
 * rank; what is gathered is the latents, not the stream (Megatron-Core,
 * multi_latent_attention.py). */
static void add_latent_attention(OperatorList *list, const Scenario *scenario, const Cut *cut)
{
    const ModelSpec *model = &scenario->model;
    const double heads = model->heads / cut->tensor;
    const double query_width = heads * model_query_head_dim(model);
    const double value_width = heads * model->v_head_dim;
    const double kv_latent = model->kv_lora_rank + model->rope_head_dim;
    const double latents = kv_latent + model->q_lora_rank;

    if (model->q_lora_rank > 0)
        add_gemm(list, "query down", cut->local_tokens, model->q_lora_rank, cut->d);
    else
        add_gather(list, cut, "attention all-gather", cut->tokens);
    add_gemm(list, "key-value down", cut->local_tokens, kv_latent, cut->d);
    add_memory(list, "latent norm", 2 * cut->local_tokens * latents * activation_bytes);
    if (cut->tensor > 1 && cut->sequence_parallel)
        add_collective(list, "latent all-gather", OPERATOR_ALL_GATHER,
                       cut->tokens * latents * activation_bytes);
    add_gemm(list, "query up", cut->tokens, query_width,
             model->q_lora_rank > 0 ? model->q_lora_rank : cut->d);
    mark_qkv(list);
    add_gemm(list, "key-value up", cut->tokens, heads * (model->nope_head_dim + model->v_head_dim),
             model->kv_lora_rank);
    mark_qkv(list);
    add_attention_core(list, scenario, cut, query_width + value_width);
    add_gemm(list, "attention output", cut->tokens, cut->d, value_width);
}

static void add_attention_block(OperatorList *list, const Scenario *scenario, const Cut *cut)
{
    add_norm(list, cut, "attention norm");
    if (model_has_latent_attention(&scenario->model))
        add_latent_attention(list, scenario, cut);
    else
        add_plain_attention(list, scenario, cut);
    add_reduce(list, cut, "attention reduce", cut->tokens);
    add_residual(list, cut, "attention residual");
}

/* One MLP of `width` hidden channels (all ranks together) that every token passes. */
static void add_dense_mlp(OperatorList *list, const ModelSpec *model, const Cut *cut,
                          const char *const names[3], double width)
{
    const double local = width / cut->tensor;
    add_gemm(list, names[0], cut->tokens, (model->gated_mlp ? 2 : 1) * local, cut->d);
    add_activation(list, model, names[1], cut->tokens, local);
    const size_t last = list->count;
    add_gemm(list, names[2], cut->tokens, cut->d, local);
    mark_last(list, last);
}

/* Rows are weighted by the router's probabilities in the activation function (Megatron-Core,
 * weighted_bias_swiglu; NeMo Automodel, experts.py), so that nothing needs the last product again.
 */
static void add_expert_products(OperatorList *list, const ModelSpec *model, const Cut *cut,
                                double groups, double rows)
{
    const double local = model_expert_width(model) / cut->expert_tensor;
    add_grouped(list, "expert up", groups, rows, (model->gated_mlp ? 2 : 1) * local, cut->d);
    add_activation(list, model, "expert activation", rows, local);
    const size_t last = list->count;
    add_grouped(list, "expert down", groups, rows, cut->d, local);
    mark_last(list, last);
}

/* Rows of the experts for one token: its copies, or with a capacity factor as many places as the
 * experts have, used or not. */
static double copies_of_a_token(const Scenario *scenario)
{
    const double factor = scenario->training.capacity_factor;
    return scenario->model.experts_per_token * (factor > 0 ? factor : 1);
}

/* Copies of the chosen tokens in expert order, and back, weighted: k rows and one row a token. */
static void add_permute(OperatorList *list, const Cut *cut, const char *name, double tokens,
                        double copies)
{
    add(list, (Operator){.name = name,
                         .kind = OPERATOR_MEMORY,
                         .bytes = (1 + copies) * tokens * cut->d * activation_bytes,
                         .moves = 1});
}

/* Every rank holds a slice of all experts; tokens are gathered, permuted locally, reduced. */
static void add_sliced_experts(OperatorList *list, const Scenario *scenario, const Cut *cut)
{
    const ModelSpec *model = &scenario->model;
    const double copies = copies_of_a_token(scenario);
    add_gather(list, cut, "expert all-gather", cut->tokens);
    add_permute(list, cut, "expert permute", cut->tokens, copies);
    add_expert_products(list, model, cut, model->experts, cut->tokens * copies);
    const size_t last = list->count;
    add_permute(list, cut, "expert combine", cut->tokens, copies);
    mark_last(list, last);
}

/* Experts spread over the expert-parallel group, a slice of each over expert-tensor ranks: every
 * rank sends its own tokens' copies to the ranks of their experts, and balanced loads bring as many
 * back; the slices of an expert then gather each other's rows (Megatron-Core, the all-to-all token
 * dispatcher; parallel folding: arXiv 2504.14960). */
static void add_spread_experts(OperatorList *list, const Scenario *scenario, const Cut *cut)
{
    const ModelSpec *model = &scenario->model;
    const double ways = fmax(1, scenario->training.parallel.expert);
    const double copies = copies_of_a_token(scenario);
    const double rows = cut->local_tokens * cut->expert_tensor * copies;
    const double sent_bytes = cut->local_tokens * copies * cut->d * activation_bytes;
    const double gathered_bytes = rows * cut->d * activation_bytes;
    add_permute(list, cut, "expert permute", cut->local_tokens, copies);
    if (ways > 1)
        add_collective(list, "expert dispatch", OPERATOR_ALL_TO_ALL, sent_bytes);
    if (cut->expert_tensor > 1)
        add_collective(list, "expert all-gather", OPERATOR_EXPERT_ALL_GATHER, gathered_bytes);
    add_expert_products(list, model, cut, model->experts / ways, rows);
    const size_t last = list->count;
    if (cut->expert_tensor > 1)
        add_collective(list, "expert reduce", OPERATOR_EXPERT_REDUCE_SCATTER, gathered_bytes);
    if (ways > 1)
        add_collective(list, "expert return", OPERATOR_ALL_TO_ALL, sent_bytes);
    add_permute(list, cut, "expert combine", cut->local_tokens, copies);
    mark_last(list, last);
}

static void add_moe_block(OperatorList *list, const Scenario *scenario, const Cut *cut)
{
    static const char *const shared_names[3] = {"shared expert up", "shared expert activation",
                                                "shared expert down"};
    const ModelSpec *model = &scenario->model;
    const double shared_width = model_shared_width(model);
    const int sliced = !plan_experts_are_spread(&scenario->training.parallel);
    const size_t first = list->count;

    /* The router reads every token and writes one score an expert; its product is too thin to
     * matter. */
    add_memory(list, "router",
               cut->local_tokens *
                   (cut->d * activation_bytes + model->experts * accumulator_bytes));
    if (sliced)
        add_sliced_experts(list, scenario, cut);
    else
        add_spread_experts(list, scenario, cut);

    if (shared_width > 0) {
        if (!sliced)
            add_gather(list, cut, "shared expert all-gather", cut->tokens);
        add_dense_mlp(list, model, cut, shared_names, shared_width);
    }
    const size_t last = list->count;
    if (sliced || shared_width > 0)
        add_reduce(list, cut, "mlp reduce", cut->tokens);
    mark_last(list, last);
    for (size_t i = first; i < list->count; i++)
        list->operators[i].experts = 1;
}

static void add_mlp_block(OperatorList *list, const Scenario *scenario, const Cut *cut, int experts)
{
    static const char *const names[3] = {"mlp up", "mlp activation", "mlp down"};
    const ModelSpec *model = &scenario->model;
    add_norm(list, cut, "mlp norm");
    if (experts) {
        add_moe_block(list, scenario, cut);
    } else {
        add_gather(list, cut, "mlp all-gather", cut->tokens);
        add_dense_mlp(list, model, cut, names, model->d_ff);
        const size_t last = list->count;
        add_reduce(list, cut, "mlp reduce", cut->tokens);
        mark_last(list, last);
    }
    const size_t last = list->count;
    add_residual(list, cut, "mlp residual");
    mark_last(list, last);
}

void operators_layer_forward(const Scenario *scenario, OperatorList *list)
{
    const Cut cut = cut_of(scenario);
    list->count = 0;
    add_attention_block(list, scenario, &cut);
    add_mlp_block(list, scenario, &cut, scenario->model.experts > 1);
}

void operators_dense_layer_forward(const Scenario *scenario, OperatorList *list)
{
    const Cut cut = cut_of(scenario);
    list->count = 0;
    add_attention_block(list, scenario, &cut);
    add_mlp_block(list, scenario, &cut, 0);
}

static int has_mark(const Operator *op, OperatorMark mark)
{
    const int marks[] = {
        [MARK_QKV] = op->qkv, [MARK_EXPERTS] = op->experts, [MARK_LAST] = op->last};
    return marks[mark];
}

/* Of one layer and token: what a rank does times the ranks that share the tokens. */
static double marked_flops_of(const Scenario *scenario, const OperatorList *list, OperatorMark mark)
{
    const Cut cut = cut_of(scenario);
    double sum = 0;
    for (size_t i = 0; i < list->count; i++)
        sum += has_mark(&list->operators[i], mark) ? list->operators[i].flops : 0;
    return sum * cut.tensor / cut.tokens;
}

double operators_marked_flops(const Scenario *scenario, OperatorMark mark)
{
    OperatorList list;
    const ModelSpec *model = &scenario->model;
    const double with_experts = model->experts > 1 ? model_expert_layers(model) : 0;
    operators_dense_layer_forward(scenario, &list);
    double flops = (model->layers - with_experts) * marked_flops_of(scenario, &list, mark);
    if (with_experts > 0) {
        operators_layer_forward(scenario, &list);
        flops += with_experts * marked_flops_of(scenario, &list, mark);
    }
    return flops;
}

/* Every pair of a query and a key of `length` and `seen` vectors, priced as so many causal squares
 * of the queries' length: QK^T and PV are 2 products of 2 FLOPs a channel and pair, and a causal
 * square has length^2 / 2 pairs. */
static void add_full_attention(OperatorList *list, const char *name, double sequences,
                               double length, double seen, double heads, double head_dim)
{
    add(list, (Operator){.name = name,
                         .kind = OPERATOR_ATTENTION,
                         .m = sequences,
                         .n = length,
                         .k = heads,
                         .head_dim = head_dim,
                         .rounds = 1,
                         .share = 2 * seen / length,
                         .flops = 4 * sequences * length * seen * heads * head_dim});
}

void operators_cross_forward(const Scenario *scenario, OperatorList *list)
{
    static const char *const names[3] = {"cross mlp up", "cross mlp activation", "cross mlp down"};
    const ModelSpec *model = &scenario->model;
    const VisionSpec *vision = &model->vision;
    const Cut cut = cut_of(scenario);
    list->count = 0;
    if (!(vision->cross_every > 0))
        return;
    const double micro_batch = scenario->training.parallel.micro_batch;
    const double query_width = model->heads / cut.tensor * model->head_dim;
    const double kv_width = model_cross_kv_width(model) / cut.tensor;
    const double images = model_image_tokens(model) * vision->images * micro_batch;
    add_norm(list, &cut, "cross norm");
    add_gather(list, &cut, "cross all-gather", cut.tokens);
    add_gemm(list, "cross query", cut.tokens, query_width, cut.d);
    if (images > 0) {
        add_gemm(list, "cross key-value", images, 2 * kv_width, model_image_width(model));
        add_full_attention(list, "cross attention", micro_batch, cut.tokens / micro_batch,
                           model_seen_image_tokens(model), model->heads / cut.tensor,
                           model->head_dim);
    }
    add_gemm(list, "cross output", cut.tokens, cut.d, query_width);
    add_reduce(list, &cut, "cross reduce", cut.tokens);
    add_residual(list, &cut, "cross residual");
    if (!(vision->cross_d_ff > 0))
        return;
    add_norm(list, &cut, "cross mlp norm");
    add_gather(list, &cut, "cross mlp all-gather", cut.tokens);
    add_dense_mlp(list, model, &cut, names, vision->cross_d_ff);
    add_reduce(list, &cut, "cross mlp reduce", cut.tokens);
    add_residual(list, &cut, "cross mlp residual");
}

/* The encoder is cut by the decoder's tensor ways, its images by none. */
void operators_encoder_layer(const Scenario *scenario, OperatorList *list)
{
    const VisionSpec *vision = &scenario->model.vision;
    const double images = vision->images * scenario->training.parallel.micro_batch;
    Cut cut = cut_of(scenario);
    list->count = 0;
    if (!(vision->layers > 0 && images > 0))
        return;
    cut.d = vision->d_model;
    cut.tokens = images * vision->patches;
    cut.local_tokens = cut.sequence_parallel ? cut.tokens / cut.tensor : cut.tokens;
    const double width = vision->d_model / cut.tensor;
    add_norm(list, &cut, "encoder attention norm");
    add_gather(list, &cut, "encoder attention all-gather", cut.tokens);
    add_gemm(list, "encoder qkv", cut.tokens, 3 * width, cut.d);
    add_full_attention(list, "encoder attention", images, vision->patches, vision->patches,
                       vision->heads / cut.tensor, vision->d_model / vision->heads);
    add_gemm(list, "encoder output", cut.tokens, cut.d, width);
    add_reduce(list, &cut, "encoder attention reduce", cut.tokens);
    add_residual(list, &cut, "encoder attention residual");
    add_norm(list, &cut, "encoder mlp norm");
    add_gather(list, &cut, "encoder mlp all-gather", cut.tokens);
    add_gemm(list, "encoder mlp up", cut.tokens, vision->d_ff / cut.tensor, cut.d);
    add_memory(list, "encoder activation",
               2 * cut.tokens * vision->d_ff / cut.tensor * activation_bytes);
    add_gemm(list, "encoder mlp down", cut.tokens, cut.d, vision->d_ff / cut.tensor);
    add_reduce(list, &cut, "encoder mlp reduce", cut.tokens);
    add_residual(list, &cut, "encoder mlp residual");
}

double operator_left_by_fusion(const Scenario *scenario, const Operator *op)
{
    return op->moves != 0 ? 1 : 1 - scenario->training.fused;
}

double operator_kernels(const Scenario *scenario, const Operator *op)
{
    /* Unfused: scale, mask and softmax in one, dropout, and two batched products (Megatron-LM,
     * core attention). Rings launch each round. A grouped product is one launch an expert
     * (Transformer Engine, nvte_multi_stream_cublas_gemm). A fused stack launches fewer small
     * kernels in the proportion in which it saves their bytes. */
    static const double unfused_attention = 4;
    if (op->kind == OPERATOR_ATTENTION)
        return fmax(1, op->rounds) *
               (scenario->training.attention == ATTENTION_UNFUSED ? unfused_attention : 1);
    if (op->kind == OPERATOR_GROUPED_GEMM)
        return fmax(1, op->groups);
    return op->kind == OPERATOR_MEMORY ? operator_left_by_fusion(scenario, op) : 1;
}

void operators_embedding(const Scenario *scenario, OperatorList *list)
{
    const Cut cut = cut_of(scenario);
    list->count = 0;
    /* A row read and written for each token; rows of other ranks' vocabulary come as zeros. */
    add_memory(list, "embedding", 2 * cut.tokens * cut.d * activation_bytes);
    add_reduce(list, &cut, "embedding reduce", cut.tokens);
}

void operators_head(const Scenario *scenario, OperatorList *list)
{
    const Cut cut = cut_of(scenario);
    const double vocabulary = ceil(scenario->model.vocab_size / cut.tensor);
    list->count = 0;
    add_norm(list, &cut, "final norm");
    add_gather(list, &cut, "head all-gather", cut.tokens);
    add_gemm(list, "logits", cut.tokens, vocabulary, cut.d);
    /* Logits read, written and read again in fp32 for the maximum, the sum and the gradient. */
    add_memory(list, "cross entropy",
               cut.tokens * vocabulary * (activation_bytes + 2 * accumulator_bytes));
    /* The maximum and the sum of each token over the ranks' vocabularies. */
    if (cut.tensor > 1)
        add_collective(list, "cross entropy all-reduce", OPERATOR_ALL_REDUCE,
                       2 * cut.tokens * accumulator_bytes);
}

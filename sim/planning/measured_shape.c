/* The model of a published row: its cells, else facts, else the model that it names, else what is
 * usual. */
#include "models/architecture.h"
#include "sim/planning/measured_laying.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double vocabulary_multiple = 128; /* Megatron-LM: --make-vocab-size-divisible-by */

/* Cells win: a model whose width, heads or experts the row contradicts gives nothing. A row may
 * have fewer layers. */
static int agrees(double cell, double named)
{
    return !measured_has(cell) || cell == named;
}

void laying_name_model(Laying *laying)
{
    const Measurement *row = &laying->row;
    const NamedModel *named = named_model_of(&laying->base->rules->models, row);
    const int is_dense = strcmp(row->kind, "dense") == 0, is_moe = strcmp(row->kind, "moe") == 0;
    if (named != NULL && agrees(row->d_model, named->spec.d_model) &&
        agrees(row->heads, named->spec.heads) && agrees(row->experts, named->spec.experts) &&
        !(is_dense && named->spec.experts > 1) && !(is_moe && named->spec.experts <= 1))
        laying->named = named;
}

static double from_model(Laying *laying, MeasuredDefault which, double value)
{
    laying->defaults.from_model |= 1ull << which;
    laying->defaults.model = laying->named->name;
    return laying_default(laying, which, value);
}

/* `usual`: where nothing else says it; not finite: then it stays so. */
static double shape_value(Laying *laying, MeasuredDefault which, double cell, const char *key,
                          double of_base, double of_named, double usual)
{
    if (measured_has(cell))
        return cell;
    if (measured_base_has_fact(laying->base, key))
        return laying_default(laying, which, of_base);
    if (laying->named != NULL)
        return from_model(laying, which, of_named);
    return measured_has(usual) ? laying_default(laying, which, usual) : usual;
}

/* Llama's code rounds 8/3 d_model up to a multiple of 256; Megatron's default is 4 d_model. */
static double usual_d_ff(double d_model, int gated)
{
    return gated ? ceil(8.0 * d_model / 3.0 / 256.0) * 256.0 : 4.0 * d_model;
}

static double usual_head_dim(Laying *laying, double d_model, double heads)
{
    if (measured_has(laying->row.head_dim) || laying->named != NULL ||
        measured_base_has_fact(laying->base, "model.head_dim") || fmod(d_model, heads) == 0)
        return d_model / heads;
    laying_refuse(laying, "head_dim is not stated and d_model %g is no multiple of n_heads %g",
                  d_model, heads);
    return 1;
}

static double named_value(const Laying *laying, double value)
{
    return laying->named != NULL ? value : nan("");
}

/* The schema has one width; where the named model has two, the row's is that of an expert. */
static void lay_widths(Laying *laying, double d_ff)
{
    const ModelSpec *named = laying->named != NULL ? &laying->named->spec : NULL;
    if (named == NULL || !(named->expert_d_ff > 0) ||
        (measured_has(laying->row.d_ff) && laying->row.d_ff != named->expert_d_ff)) {
        laying_put(laying, "model.d_ff", d_ff);
        return;
    }
    laying_put(laying, "model.d_ff", named->d_ff);
    laying_put(laying, "model.expert_d_ff", named->expert_d_ff);
    laying_put(laying, "model.shared_d_ff", named->shared_d_ff);
    laying_put(laying, "model.dense_layers", named->dense_layers);
}

static void lay_experts(Laying *laying)
{
    const Measurement *row = &laying->row;
    const ModelSpec *named = laying->named != NULL ? &laying->named->spec : NULL;
    double experts = row->experts;
    if (!measured_has(experts) && named != NULL && named->experts > 1)
        experts = from_model(laying, DEFAULT_EXPERTS, named->experts);
    if (!measured_has(experts) || experts == 1) {
        if (strcmp(row->kind, "moe") == 0)
            laying_refuse(laying, "an MoE model whose n_experts is not stated");
        laying_put(laying, "model.experts", 1);
        laying_put(laying, "model.experts_per_token", 1);
        return;
    }
    double top_k = row->top_k;
    if (!measured_has(top_k) && named != NULL)
        top_k = from_model(laying, DEFAULT_TOP_K, named->experts_per_token);
    laying_put(laying, "model.experts", experts);
    laying_put(laying, "model.experts_per_token", laying_needed(laying, "top_k", top_k));
    laying_put(laying, "model.shared_experts",
               shape_value(laying, DEFAULT_SHARED, row->shared_experts, "model.shared_experts",
                           laying->base->scenario.model.shared_experts,
                           named_value(laying, named != NULL ? named->shared_experts : 0), 0));
    if (!measured_has(row->d_ff) && named == NULL &&
        !measured_base_has_fact(laying->base, "model.d_ff"))
        laying_refuse(laying, "an MoE model whose d_ff is not stated");
    if (measured_has(row->moe_every) && row->moe_every > 1)
        laying_put(laying, "model.moe_every", row->moe_every);
    else if (!measured_has(row->moe_every) && named != NULL)
        laying_put(laying, "model.moe_every", named->moe_every);
}

/* What no column says: latent attention, as facts.csv has it of the models that it knows. */
static void lay_latents(Laying *laying)
{
    const ModelSpec *named = laying->named != NULL ? &laying->named->spec : NULL;
    ModelSpec *model = &laying->out->model;
    if (named == NULL || !(named->kv_lora_rank > 0) || model->kv_lora_rank > 0)
        return;
    model->kv_lora_rank = named->kv_lora_rank;
    model->q_lora_rank = named->q_lora_rank;
    model->rope_head_dim = named->rope_head_dim;
    model->nope_head_dim = named->nope_head_dim;
    model->v_head_dim = named->v_head_dim;
}

/* As many layers as hold the parameters that the row states, all else being as it is. */
static double layers_of_parameters(Laying *laying)
{
    const double least = 2; /* below, what is left for layers is the rounding of the total */
    ModelSpec one = laying->out->model, two = one;
    one.layers = one.dense_layers + 1;
    two.layers = one.layers + 1;
    const double with_one = model_parameters(&one).total,
                 layer = model_parameters(&two).total - with_one;
    const double layers = one.layers + round((1e9 * laying->row.params_total_b - with_one) / layer);
    if (laying->status == STATUS_OK && !(layers >= least && layers < 1e4))
        laying_refuse(laying, "n_layers is not stated, and params_total_b %g is no such model's",
                      laying->row.params_total_b);
    return laying_default(laying, DEFAULT_LAYERS, layers);
}

void laying_model(Laying *laying)
{
    const Measurement *row = &laying->row;
    const ModelSpec *base = &laying->base->scenario.model;
    static const ModelSpec nothing = {0};
    const ModelSpec *named = laying->named != NULL ? &laying->named->spec : &nothing;
    double layers = row->layers, d_model = row->d_model, heads = row->heads;
    if (!measured_has(layers) && laying->named != NULL)
        layers = from_model(laying, DEFAULT_LAYERS, named->layers);
    if (!measured_has(d_model) && laying->named != NULL)
        d_model = from_model(laying, DEFAULT_D_MODEL, named->d_model);
    if (!measured_has(heads) && laying->named != NULL)
        heads = from_model(laying, DEFAULT_HEADS, named->heads);
    if (!measured_has(layers) && !measured_has(row->params_total_b))
        laying_needed(laying, "n_layers", layers);
    laying_needed(laying, "d_model", d_model);
    laying_needed(laying, "n_heads", heads);
    if (laying->status != STATUS_OK)
        return;
    const int gated = shape_value(laying, DEFAULT_GATED, row->gated_mlp, "model.gated_mlp",
                                  base->gated_mlp, named->gated_mlp, 0) != 0;
    const double vocabulary = ceil(named->vocab_size / vocabulary_multiple) * vocabulary_multiple;
    laying_put(laying, "model.d_model", d_model);
    laying_put(laying, "model.heads", heads);
    laying_put(laying, "model.kv_heads",
               shape_value(laying, DEFAULT_KV_HEADS, row->kv_heads, "model.kv_heads",
                           base->kv_heads, named->kv_heads, heads));
    laying_put(laying, "model.head_dim",
               shape_value(laying, DEFAULT_HEAD_DIM, row->head_dim, "model.head_dim",
                           base->head_dim, named->head_dim,
                           usual_head_dim(laying, d_model, heads)));
    laying_put(laying, "model.vocab_size",
               shape_value(laying, DEFAULT_VOCAB, row->vocab, "model.vocab_size", base->vocab_size,
                           vocabulary, base->vocab_size));
    laying_put_word(laying, "model.gated_mlp", gated ? "true" : "false");
    default_take(&laying->defaults, DEFAULT_TIED);
    const int tied = laying->named != NULL ? named->tied_embeddings : !gated;
    if (!measured_base_has_fact(laying->base, "model.tied_embeddings"))
        laying_put_word(laying, "model.tied_embeddings", tied ? "true" : "false");
    lay_experts(laying);
    lay_widths(laying, shape_value(laying, DEFAULT_D_FF, row->d_ff, "model.d_ff", base->d_ff,
                                   named->d_ff, usual_d_ff(d_model, gated)));
    lay_latents(laying);
    if (!measured_has(layers) && laying->status == STATUS_OK)
        layers = layers_of_parameters(laying);
    laying_put(laying, "model.layers", layers);
    if (laying->status == STATUS_OK)
        snprintf(laying->out->model.name, sizeof laying->out->model.name, "%.*s", NAME_BYTES - 1,
                 row->model);
}

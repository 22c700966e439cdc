#include "sim/planning/flop_convention.h"

#include "models/architecture.h"

#include <string.h>

static double causal(const ModelSpec *model, double context)
{
    return model_flops_per_token(model, context).training;
}

static double full(const ModelSpec *model, double context)
{
    const ModelFlops flops = model_flops_per_token(model, context);
    return 3.0 * (flops.matmul + flops.attention_full);
}

static double six_nd(const ModelSpec *model, double context)
{
    (void)context;
    return model_flops_6nd(model);
}

/* The layers' forward once more; logits are not recomputed. Of 72 (1 + s/6h + V/12lh) the last term
 * is 6 h V a token. */
static double megatron_hardware(const ModelSpec *model, double context)
{
    const double logits = 6.0 * model->d_model * model->vocab_size;
    return (model_flops_megatron(model, context) - logits) * 4.0 / 3.0 + logits;
}

static const struct {
    const char *name;
    FlopConvention count;
} CONVENTIONS[] = {
    {"causal", causal},
    {"full", full},
    {"6nd", six_nd},
    {"palm", model_flops_palm},
    {"megatron", model_flops_megatron},
    {"megatron-hardware", megatron_hardware},
};

FlopConvention flop_convention(const char *name)
{
    for (size_t i = 0; i < sizeof CONVENTIONS / sizeof CONVENTIONS[0]; i++)
        if (strcmp(CONVENTIONS[i].name, name) == 0)
            return CONVENTIONS[i].count;
    return NULL;
}

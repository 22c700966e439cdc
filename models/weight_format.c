#include "models/weight_format.h"

#include "models/architecture.h"

static const double bits_per_byte = 8;

static int has_groups(Precision stored)
{
    return stored == PRECISION_INT8 || stored == PRECISION_INT4;
}

double stored_weight_bytes(Precision stored, const WeightFormat *format)
{
    const double bytes = precision_bytes(stored);
    if (!has_groups(stored) || !(format->group > 0))
        return bytes;
    return bytes + format->group_bits / bits_per_byte / format->group;
}

static int experts_differ(const ServingSpec *serving)
{
    return serving->expert_precision == EXPERTS_FP4;
}

Precision serving_expert_precision(const ServingSpec *serving)
{
    return experts_differ(serving) ? PRECISION_FP4 : serving->weight_precision;
}

WeightFormat serving_expert_format(const ServingSpec *serving)
{
    return experts_differ(serving) ? (WeightFormat){0} : serving->weights;
}

double serving_expert_bytes(const ServingSpec *serving)
{
    const WeightFormat format = serving_expert_format(serving);
    return stored_weight_bytes(serving_expert_precision(serving), &format);
}

double serving_matrix_bytes(const ServingSpec *serving)
{
    return stored_weight_bytes(serving->weight_precision, &serving->weights);
}

int serving_tables_are_wide(const ServingSpec *serving)
{
    return serving->wide_tables || serving->weights.wide_tables;
}

double serving_table_bytes(const ServingSpec *serving)
{
    return serving_tables_are_wide(serving) ? precision_bytes(PRECISION_BF16)
                                            : serving_matrix_bytes(serving);
}

static const char *word_of(Precision precision)
{
    static const char *const WORDS[] = {
        [PRECISION_BF16] = "bf16", [PRECISION_FP8] = "fp8",   [PRECISION_FP16] = "fp16",
        [PRECISION_FP32] = "fp32", [PRECISION_INT8] = "int8", [PRECISION_FP4] = "fp4",
        [PRECISION_INT4] = "int4",
    };
    return WORDS[precision];
}

Status weight_format_check(const Scenario *scenario, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    const WeightFormat *format = &serving->weights;
    const Precision stored = serving->weight_precision;
    if (stored == PRECISION_INT4 && format->of == SIDE_PRECISION_AS_SERVING) {
        error_set(error, STATUS_INVALID,
                  "serving.weight_precision: int4 needs serving.weights: how they are stored");
        error_hint(error,
                   "a name, for example weights-int4-gptq or weights-int4-awq; 'flopcast list "
                   "calibration' lists them");
        return STATUS_INVALID;
    }
    if (format->of != SIDE_PRECISION_AS_SERVING &&
        (Precision)((int)format->of - SIDE_PRECISION_FIRST) != stored) {
        const char *of = word_of((Precision)((int)format->of - SIDE_PRECISION_FIRST));
        error_set(error, STATUS_INVALID,
                  "serving.weights is a format of %s, and serving.weight_precision is %s", of,
                  word_of(stored));
        error_hint(error, "serving.weight_precision: %s", of);
        return STATUS_INVALID;
    }
    if (format->group > 0 && !(format->group_bits > 0)) {
        error_set(error, STATUS_INVALID,
                  "serving.weights.group = %g: serving.weights.group_bits is 0", format->group);
        error_hint(error, "bits of a group's scale and zero point, for example 16");
        return STATUS_INVALID;
    }
    if (stored == PRECISION_INT8 && format->products == PRODUCTS_AS_WEIGHTS &&
        !(scenario->hardware.gpu.peak_int8_flops_per_s > 0)) {
        error_set(error, STATUS_INVALID,
                  "serving.weight_precision: int8 on a GPU without 8-bit integer tensor cores "
                  "(hardware.gpu.peak_int8 of %s is 0)",
                  scenario->hardware.gpu.name[0] != '\0' ? scenario->hardware.gpu.name
                                                         : "this GPU");
        error_hint(error,
                   "serving.weights: weights-int8-wide (products in 16 bits), or another GPU");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* Rules that plans of training and of serving share; plan_check.h is what others call. */
#ifndef MODELS_PLAN_RULES_H
#define MODELS_PLAN_RULES_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Of whole numbers; up to 2^53 products of theirs are exact, and faster than fmod. */
static inline int plan_divides(double divisor, double number)
{
    if (!(divisor > 0))
        return 0;
    const double times = number / divisor;
    if (!(fabs(number) <= 0x1p53) || !(fabs(times) <= 0x1p53))
        return fmod(number, divisor) == 0;
    return (double)(int64_t)times * divisor == number;
}

/* One rule between two values: `part` must divide `whole`. */
typedef struct Divisibility {
    const char *part_key, *whole_key;
    double part, whole;
} Divisibility;

Status plan_check_divisible(const Divisibility *rules, size_t count, Error *error);

/* A value that counts things. */
typedef struct Count {
    const char *key;
    double value;
    int applies;
    double least;
} Count;

Status plan_check_counts(const Count *counts, size_t number, Error *error);

/* A model alone: heads, experts, latent attention. */
Status plan_check_model(const ModelSpec *model, Error *error);

/* What tensor and pipeline ways must agree with, in training and in serving alike. */
Status plan_check_split(const Scenario *scenario, const char *tensor_key, double tensor,
                        const char *pipeline_key, double pipeline, Error *error);

/* models/serving_check.c: plan_check of a serving scenario behind the model. */
Status plan_check_serving_counts(const ServingSpec *serving, Error *error);
Status plan_check_serving(const Scenario *scenario, Error *error);

#endif

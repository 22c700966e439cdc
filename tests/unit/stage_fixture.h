/* Scenarios whose stages are priced (sim/training/stage_time.h). */
#ifndef TESTS_UNIT_STAGE_FIXTURE_H
#define TESTS_UNIT_STAGE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/reader.h"
#include "configs/reader/sample.h"
#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/memory.h"
#include "models/plan_check.h"
#include "sim/training/stage_time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* gpt4-a100 at its midpoints; read_base is the set-up of a group. */
static Scenario base;

static inline int read_base(void **state)
{
    (void)state;
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scenario = calloc(1, sizeof *scenario);
    if (errors == NULL || scenario == NULL ||
        config_paths_find(NULL, &paths, &error) != STATUS_OK ||
        scenario_read(&paths, "gpt4-a100", NULL, 0, scenario, NULL, NULL, errors) != STATUS_OK)
        return -1;
    scenario_midpoint(scenario, &base);
    base.training.parallel.recompute = RECOMPUTE_NONE;
    base.training.parallel.tensor_overlap = 0;
    base.training.expert_load.model = EXPERT_LOAD_BALANCED;
    base.training.kernel_overhead = 0;
    free(scenario);
    free(errors);
    return 0;
}

static inline StepInput *input_of(const Scenario *scenario)
{
    Error error = {0};
    StepInput *input = calloc(1, sizeof *input);
    assert_non_null(input);
    if (step_input(scenario, 3, 0, input, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return input;
}

static inline void assert_near(double got, double expected, double relative)
{
    if (!(fabs(got - expected) <= relative * fmax(fabs(expected), 1e-300)))
        fail_msg("%.17g, expected %.17g within %g", got, expected, relative);
}

static inline double imbalance(const StepInput *input)
{
    double sum = 0;
    for (size_t i = 0; i < input->stages; i++)
        sum += input->stage[i].forward.expert_imbalance_s +
               input->stage[i].backward.expert_imbalance_s;
    return sum;
}

static inline double compute(const StepInput *input)
{
    double sum = 0;
    for (size_t i = 0; i < input->stages; i++)
        sum += input->stage[i].forward.compute_s + input->stage[i].backward.compute_s;
    return sum;
}

/* A dense model on few nodes, where closed forms are at hand. */
static inline Scenario dense(double tensor, double context, double data)
{
    Scenario scenario = base;
    scenario.model = (ModelSpec){.layers = 32,
                                 .d_model = 4096,
                                 .d_ff = 14336,
                                 .heads = 32,
                                 .kv_heads = 8,
                                 .head_dim = 128,
                                 .vocab_size = 128256,
                                 .experts = 1,
                                 .experts_per_token = 1,
                                 .gated_mlp = 1};
    scenario.hardware.gpus = tensor * context * data;
    scenario.training.attention = ATTENTION_FLASH2;
    scenario.training.batch_tokens = 8192 * data * 4;
    scenario.training.parallel.tensor = tensor;
    scenario.training.parallel.context = context;
    scenario.training.parallel.pipeline = 1;
    scenario.training.parallel.data = data;
    return scenario;
}

#endif

#include "sim/training/jitter_penalty.h"

#include "sim/engine/parallel.h"

#include <stdlib.h>

/* One simulation of the table each index: level-major. */
typedef struct Measurement {
    const StepInput *input;
    const JitterPenalty *penalty;
    SimulationDetail detail;
    unsigned long long seed;
    double ratio[PENALTY_LEVELS * PENALTY_REPLICATIONS];
    double expert_s[PENALTY_LEVELS * PENALTY_REPLICATIONS];
    double compute_s[PENALTY_LEVELS * PENALTY_REPLICATIONS];
} Measurement;

static Status measure_one(void *context, size_t index, size_t worker, Error *error)
{
    (void)worker;
    Measurement *measurement = context;
    StepResult result;
    StepInput *input = malloc(sizeof *input);
    StepSimulator *simulator = step_simulator_create(error);
    Status status = STATUS_ENVIRONMENT;
    if (input == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    if (simulator == NULL)
        goto cleanup;

    *input = *measurement->input;
    input->jitter = measurement->penalty->jitter[1 + index / PENALTY_REPLICATIONS];
    status = step_simulate(simulator, input, measurement->detail, measurement->seed,
                           1 + index % PENALTY_REPLICATIONS, 0, &result, error);
    if (status != STATUS_OK)
        goto cleanup;
    double compute_s = result.breakdown.compute_s + result.breakdown.recompute_s;
    measurement->ratio[index] = compute_s > 0.0 ? result.breakdown.jitter_s / compute_s : 0.0;
    measurement->expert_s[index] = result.breakdown.expert_jitter_s;
    measurement->compute_s[index] = compute_s;

cleanup:
    step_simulator_destroy(simulator);
    free(input);
    return status;
}

Status jitter_penalty_measure(const StepInput *input, SimulationDetail detail,
                              unsigned long long seed, size_t threads, double most, int several,
                              JitterPenalty *penalty, Error *error)
{
    *penalty = (JitterPenalty){.expert_deviation_s = step_expert_deviation_s(input)};
    if (detail == DETAIL_FOLDED || !(most > 0.0 || penalty->expert_deviation_s > 0.0))
        return STATUS_OK;
    size_t levels = most > 0.0 && several != 0 ? PENALTY_LEVELS : 1;
    penalty->levels = most > 0.0 ? levels : 0;
    for (size_t i = 1; i <= levels; i++)
        penalty->jitter[i] = most * (double)i / (double)levels;

    Measurement measurement = {.input = input, .penalty = penalty, .detail = detail, .seed = seed};
    Status status =
        parallel_for(levels * PENALTY_REPLICATIONS, threads, measure_one, &measurement, error);
    if (status != STATUS_OK)
        return status;
    const double runs = (double)(levels * PENALTY_REPLICATIONS);
    for (size_t i = 0; i < levels * PENALTY_REPLICATIONS; i++) {
        penalty->penalty[1 + i / PENALTY_REPLICATIONS] +=
            measurement.ratio[i] / PENALTY_REPLICATIONS;
        penalty->expert_s += measurement.expert_s[i] / runs;
        penalty->compute_s += measurement.compute_s[i] / runs;
    }
    return STATUS_OK;
}

double jitter_penalty_at(const JitterPenalty *penalty, double jitter)
{
    if (penalty->levels == 0)
        return 0.0;
    size_t upper = 1;
    while (upper < penalty->levels && jitter > penalty->jitter[upper])
        upper++;
    double low = penalty->jitter[upper - 1], high = penalty->jitter[upper];
    double share = (jitter - low) / (high - low);
    return penalty->penalty[upper - 1] +
           share * (penalty->penalty[upper] - penalty->penalty[upper - 1]);
}

double jitter_penalty_expert_s(const JitterPenalty *penalty, const StepInput *input)
{
    if (!(penalty->expert_deviation_s > 0.0))
        return 0.0;
    return penalty->expert_s * step_expert_deviation_s(input) / penalty->expert_deviation_s;
}

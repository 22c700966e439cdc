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

cleanup:
    step_simulator_destroy(simulator);
    free(input);
    return status;
}

Status jitter_penalty_measure(const StepInput *input, SimulationDetail detail,
                              unsigned long long seed, size_t threads, double most, int several,
                              JitterPenalty *penalty, Error *error)
{
    *penalty = (JitterPenalty){0};
    if (detail == DETAIL_FOLDED || !(most > 0.0))
        return STATUS_OK;
    penalty->levels = several != 0 ? PENALTY_LEVELS : 1;
    for (size_t i = 1; i <= penalty->levels; i++)
        penalty->jitter[i] = most * (double)i / (double)penalty->levels;

    Measurement measurement = {.input = input, .penalty = penalty, .detail = detail, .seed = seed};
    Status status = parallel_for(penalty->levels * PENALTY_REPLICATIONS, threads, measure_one,
                                 &measurement, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < penalty->levels * PENALTY_REPLICATIONS; i++)
        penalty->penalty[1 + i / PENALTY_REPLICATIONS] +=
            measurement.ratio[i] / PENALTY_REPLICATIONS;
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

/* From a scenario to the numbers of a run. */
#include "models/architecture.h"
#include "models/plan_check.h"
#include "sim/training/run.h"

#include <math.h>

static double job_gpus(const Scenario *scenario)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    double used = plan_gpus(parallel);
    return fmax(scenario->hardware.gpus, used);
}

/* Things of a class that can fail in this job. */
static double units_of(const Scenario *scenario, FailureUnit unit)
{
    double gpus = job_gpus(scenario);
    const double units[] = {
        [FAILURE_PER_GPU] = gpus,
        [FAILURE_PER_NODE] = ceil(gpus / scenario->hardware.node.gpus),
        [FAILURE_PER_JOB] = 1.0,
    };
    return units[unit];
}

/* Independent classes: the job's rate is the sum (reliability literature: lambda_job = sum N_c
 * lambda_c). */
static void set_rates(const Scenario *scenario, RunPhase *phase)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    for (size_t i = 0; i < reliability->class_count; i++)
        phase->class_rate_per_s[i] =
            reliability->classes[i].rate_per_s * units_of(scenario, reliability->classes[i].unit);
}

static void set_classes(const ReliabilitySpec *reliability, RunInput *input)
{
    input->class_count = reliability->class_count;
    for (size_t i = 0; i < reliability->class_count; i++) {
        const FailureClass *from = &reliability->classes[i];
        input->classes[i] = (RunClass){.per_node = from->unit != FAILURE_PER_JOB,
                                       .detection_count = 1,
                                       .detection_share = {1.0},
                                       .detection_s = {from->detection_s}};
    }
}

static void set_saves(const Scenario *scenario, RunInput *input)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    double state_bytes =
        model_parameters(&scenario->model).total * reliability->state_bytes_per_param;
    double write_s = state_bytes / reliability->write_bytes_per_s;
    input->saves.stall_s = reliability->asynchronous != 0 ? reliability->blocking_s : write_s;
    input->saves.durable_s = reliability->asynchronous != 0 ? write_s : 0.0;
    input->saves.load_s = state_bytes / reliability->read_bytes_per_s;
}

static Status check_spec(const ReliabilitySpec *reliability, Error *error)
{
    if (!(reliability->slowdown >= 0.0 && reliability->slowdown < 1.0))
        return error_set(error, STATUS_INVALID, "reliability.slowdown = %g is not in [0, 1)",
                         reliability->slowdown);
    if (!(reliability->read_bytes_per_s > 0.0) || !(reliability->write_bytes_per_s > 0.0))
        return error_set(error, STATUS_INVALID,
                         "checkpoints need read and write bandwidths above 0");
    if (reliability->class_count > MAX_FAILURE_CLASSES)
        return error_set(error, STATUS_INVALID, "more than %d failure classes",
                         MAX_FAILURE_CLASSES);
    return STATUS_OK;
}

Status run_add_phase(RunInput *input, const Scenario *scenario, double tokens, double step_s,
                     double step_tokens, double pause_s, Error *error)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    if (!(step_s > 0.0 && isfinite(step_s)) || !(step_tokens > 0.0 && isfinite(step_tokens)))
        return error_set(error, STATUS_INVALID, "a run needs steps that take time and tokens");
    if (input->phase_count == MAX_RUN_PHASES)
        return error_set(error, STATUS_INVALID, "a run has at most %d phases", MAX_RUN_PHASES);
    Status status = check_spec(reliability, error);
    if (status != STATUS_OK)
        return status;
    RunPhase *phase = &input->phases[input->phase_count++];
    *phase = (RunPhase){.step_s = step_s / (1.0 - reliability->slowdown),
                        .step_tokens = step_tokens,
                        .gpus = job_gpus(scenario),
                        .nodes = units_of(scenario, FAILURE_PER_NODE),
                        .pause_s = pause_s,
                        .init_s = reliability->init_s};
    phase->useful_s = ceil(tokens / step_tokens) * phase->step_s;
    set_rates(scenario, phase);
    phase->interval_s = reliability->interval_rule == INTERVAL_FIXED
                            ? reliability->interval_s
                            : run_interval_exact(run_mtbf_s(input, phase), input->saves.stall_s);
    return STATUS_OK;
}

Status run_input(const Scenario *scenario, double step_s, double step_tokens, RunInput *input,
                 Error *error)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    *input = (RunInput){.replacement_s = reliability->replacement_s,
                        .restart_clock = reliability->restart_clock};
    Status status = check_spec(reliability, error);
    if (status != STATUS_OK)
        return status;
    set_classes(reliability, input);
    set_saves(scenario, input);
    return run_add_phase(input, scenario, scenario->training.tokens, step_s, step_tokens, 0.0,
                         error);
}

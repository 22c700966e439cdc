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
static void add_failure_classes(const Scenario *scenario, RunInput *input)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    double rates[MAX_FAILURE_CLASSES], job_rate = 0.0;
    input->class_count = reliability->class_count;
    for (size_t i = 0; i < reliability->class_count; i++) {
        rates[i] =
            reliability->classes[i].rate_per_s * units_of(scenario, reliability->classes[i].unit);
        job_rate += rates[i];
        input->class_detection_s[i] = reliability->classes[i].detection_s;
    }
    input->mtbf_s = job_rate > 0.0 ? 1.0 / job_rate : HUGE_VAL;
    for (size_t i = 0; i < reliability->class_count; i++)
        input->class_share[i] = job_rate > 0.0 ? rates[i] / job_rate : 0.0;
}

Status run_input(const Scenario *scenario, double step_s, double step_tokens, RunInput *input,
                 Error *error)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    *input = (RunInput){0};
    if (!(step_s > 0.0 && isfinite(step_s)) || !(step_tokens > 0.0 && isfinite(step_tokens)))
        return error_set(error, STATUS_INVALID, "a run needs steps that take time and tokens");
    if (!(reliability->slowdown >= 0.0 && reliability->slowdown < 1.0))
        return error_set(error, STATUS_INVALID, "reliability.slowdown = %g is not in [0, 1)",
                         reliability->slowdown);
    if (!(reliability->read_bytes_per_s > 0.0) || !(reliability->write_bytes_per_s > 0.0))
        return error_set(error, STATUS_INVALID,
                         "checkpoints need read and write bandwidths above 0");
    if (reliability->class_count > MAX_FAILURE_CLASSES)
        return error_set(error, STATUS_INVALID, "more than %d failure classes",
                         MAX_FAILURE_CLASSES);

    double steps = ceil(scenario->training.tokens / step_tokens);
    input->step_s = step_s / (1.0 - reliability->slowdown);
    input->useful_s = steps * input->step_s;
    add_failure_classes(scenario, input);

    double state_bytes =
        model_parameters(&scenario->model).total * reliability->state_bytes_per_param;
    double write_s = state_bytes / reliability->write_bytes_per_s;
    input->save_stall_s = reliability->asynchronous != 0 ? reliability->blocking_s : write_s;
    input->save_durable_s = reliability->asynchronous != 0 ? write_s : 0.0;
    input->load_s = state_bytes / reliability->read_bytes_per_s;
    input->init_s = reliability->init_s;
    input->replacement_s = reliability->replacement_s;
    input->restart_clock = reliability->restart_clock;
    input->interval_s = reliability->interval_rule == INTERVAL_FIXED
                            ? reliability->interval_s
                            : run_interval_exact(input->mtbf_s, input->save_stall_s);
    return STATUS_OK;
}

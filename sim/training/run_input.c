/* From a scenario to the numbers of a run. */
#include "models/architecture.h"
#include "models/plan_check.h"
#include "sim/training/run.h"

#include <math.h>
#include <stdbool.h>

static double job_gpus(const Scenario *scenario)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    double used = plan_gpus(parallel);
    return fmax(scenario->hardware.gpus, used);
}

static double job_nodes(const Scenario *scenario)
{
    return ceil(job_gpus(scenario) / scenario->hardware.node.gpus);
}

/* ---- failure classes ---------------------------------------------------------------------------
 */

size_t reliability_class_count(const ReliabilitySpec *reliability)
{
    return reliability->failures.class_count + reliability->class_count;
}

/* Those of the shipped set first, then the scenario's own. */
const FailureClass *reliability_class(const ReliabilitySpec *reliability, size_t index)
{
    size_t shipped = reliability->failures.class_count;
    return index < shipped ? &reliability->failures.classes[index]
                           : &reliability->classes[index - shipped];
}

/* Things of a class that can fail in this job. */
static double units_of(const Scenario *scenario, const FailureClass *class)
{
    double gpus = job_gpus(scenario), nodes = job_nodes(scenario);
    const double units[] = {
        [FAILURE_PER_GPU] = gpus,
        [FAILURE_PER_NODE] = nodes,
        [FAILURE_PER_JOB] = 1.0,
        [FAILURE_PER_NIC] = nodes * scenario->hardware.node.nics,
        [FAILURE_PER_DOMAIN] = ceil(nodes / fmax(1.0, class->domain_nodes)),
    };
    return units[class->unit];
}

/* A crash, or a standstill that a time-out ends. */
static void set_detection(const FailureClass *from, RunClass *class)
{
    class->detection_count = from->hang_share > 0.0 ? 2 : 1;
    class->detection_share[0] = 1.0 - from->hang_share;
    class->detection_s[0] = from->detection_s;
    class->detection_share[1] = from->hang_share;
    class->detection_s[1] = from->hang_detection_s;
}

static void set_classes(const ReliabilitySpec *reliability, RunInput *input)
{
    input->class_count = reliability_class_count(reliability);
    for (size_t i = 0; i < input->class_count; i++) {
        const FailureClass *from = reliability_class(reliability, i);
        bool job = from->unit == FAILURE_PER_JOB;
        input->classes[i] = (RunClass){
            .per_node = !job,
            .law = from->law,
            .shape = from->shape,
            .calendar = from->law == LAW_FIXED,
            .nodes_taken = job ? 0.0 : from->nodes,
            .process_restart = from->process_restart,
            .outage_s = from->outage_s,
            .memory_share = from->memory_survives * reliability->memory.survives,
            .notice_s = from->planned != 0 ? HUGE_VAL : from->notice_s,
            .spoiled_s = from->spoiled_s,
        };
        set_detection(from, &input->classes[i]);
    }
}

/* Rates counted over elapsed time, while nothing fails during the down time D after a failure: with
 * run-clock rates r and wall-clock rates w, elapsed time holds 1 - sum w D of time outside the
 * wall-clock failures' down times, of which 1 / (1 + sum r D) is exposed. */
static Status convert_wall_rates(const ReliabilitySpec *reliability, const RunInput *input,
                                 RunPhase *phase, Error *error)
{
    double restart_s = input->restart_clock == RESTART_SAFE
                           ? phase->init_s + input->saves.load_s + input->warm_up_s
                           : 0.0;
    double run_down = 0.0, wall_down = 0.0;
    for (size_t i = 0; i < input->class_count; i++) {
        double down = phase->class_rate_per_s[i] * (run_class_down_s(input, i) + restart_s);
        bool wall = reliability_class(reliability, i)->clock == FAILURE_CLOCK_WALL;
        *(wall ? &wall_down : &run_down) += down;
    }
    if (!(wall_down < 1.0)) {
        error_set(error, STATUS_NO,
                  "expected goodput 0: failures counted by the wall clock would keep the job down "
                  "%.3g times as long as there is",
                  wall_down);
        error_hint(error, "rates of a job that runs are written with clock: run");
        return STATUS_NO;
    }
    for (size_t i = 0; i < input->class_count; i++)
        if (reliability_class(reliability, i)->clock == FAILURE_CLOCK_WALL &&
            input->classes[i].calendar == 0)
            phase->class_rate_per_s[i] *= (1.0 + run_down) / (1.0 - wall_down);
    return STATUS_OK;
}

/* ---- saves and restarts ------------------------------------------------------------------------
 */

/* Every node reads or writes its share at once: storage or the nodes are the limit. */
static double storage_bytes_per_s(double all_bytes_per_s, double node_bytes_per_s, double nodes)
{
    return node_bytes_per_s > 0.0 ? fmin(all_bytes_per_s, node_bytes_per_s * nodes)
                                  : all_bytes_per_s;
}

static void set_saves(const Scenario *scenario, RunInput *input)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    const MemorySaveSpec *memory = &reliability->memory;
    double nodes = job_nodes(scenario);
    double state_bytes =
        model_parameters(&scenario->model).total * reliability->state_bytes_per_param;
    double write_s = state_bytes / storage_bytes_per_s(reliability->write_bytes_per_s,
                                                       reliability->node_write_bytes_per_s, nodes);
    input->saves.stall_s = reliability->asynchronous != 0 ? reliability->blocking_s : write_s;
    input->saves.durable_s = reliability->asynchronous != 0 ? write_s : 0.0;
    input->saves.load_s =
        state_bytes / storage_bytes_per_s(reliability->read_bytes_per_s,
                                          reliability->node_read_bytes_per_s, nodes);
    if (!(memory->storage_every > 0.0))
        return;
    double copy_s = state_bytes / nodes / memory->bytes_per_s;
    input->saves.in_memory = 1;
    input->saves.memory_every = memory->storage_every;
    input->saves.memory_stall_s = memory->blocking_s;
    input->saves.memory_durable_s = copy_s;
    input->saves.memory_load_s = copy_s;
}

/* ---- the other parts ---------------------------------------------------------------------------
 */

static Law law_of(const RandomTimeSpec *time)
{
    return (Law){.kind = time->law, .mean = time->mean_s, .shape = time->shape};
}

static void set_parts(const Scenario *scenario, RunInput *input)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    const SlowNodeSpec *slow = &reliability->slow_nodes;
    input->spares = (RunSpares){.limited = reliability->spares.limited,
                                .nodes = reliability->spares.nodes,
                                .crews = reliability->spares.crews,
                                .repair = law_of(&reliability->spares.repair)};
    input->lemons = (RunLemons){.share = reliability->lemons.share,
                                .rate_factor = reliability->lemons.rate_factor,
                                .removed_after = reliability->lemons.removed_after};
    if (reliability->elastic.allowed != 0)
        input->elastic = (RunElastic){.replicas = scenario->training.parallel.data,
                                      .minimum_replicas = reliability->elastic.minimum_replicas,
                                      .drop_s = reliability->elastic.drop_s,
                                      .rejoin_s = reliability->elastic.rejoin_s,
                                      .away = law_of(&reliability->elastic.away)};
    input->slow = (RunSlow){
        .rate_per_node_s = slow->rate_per_s,
        .duration = law_of(&slow->duration),
        .evict_after_s = slow->evict_after_s > 0.0 ? slow->evict_after_s : HUGE_VAL,
        .evict_s = slow->eviction_s,
        .factor = {slow->factor, slow->second_factor},
        .second_factor_share = slow->second_share,
    };
    input->spikes = (RunSpikes){.rate_per_step = reliability->loss_spikes.per_step,
                                .lag_steps = reliability->loss_spikes.lag_steps,
                                .back_steps = reliability->loss_spikes.back_steps};
}

static Status check_spec(const ReliabilitySpec *reliability, Error *error)
{
    if (!(reliability->slowdown >= 0.0 && reliability->slowdown < 1.0))
        return error_set(error, STATUS_INVALID, "reliability.slowdown = %g is not in [0, 1)",
                         reliability->slowdown);
    if (!(reliability->read_bytes_per_s > 0.0) || !(reliability->write_bytes_per_s > 0.0))
        return error_set(error, STATUS_INVALID,
                         "checkpoints need read and write bandwidths above 0");
    if (reliability_class_count(reliability) > MAX_FAILURE_CLASSES)
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
    if (status == STATUS_OK && reliability_class_count(reliability) != input->class_count)
        status = error_set(error, STATUS_INVALID, "a phase cannot have other failure classes");
    if (status != STATUS_OK)
        return status;

    double gpus = job_gpus(scenario);
    RunPhase *phase = &input->phases[input->phase_count];
    *phase = (RunPhase){.step_s = step_s / (1.0 - reliability->slowdown),
                        .step_tokens = step_tokens,
                        .gpus = gpus,
                        .nodes = job_nodes(scenario),
                        .pause_s = pause_s,
                        .init_s = reliability->init_s + reliability->init_per_gpu_s * gpus};
    phase->useful_s = ceil(tokens / step_tokens) * phase->step_s;
    for (size_t i = 0; i < input->class_count; i++) {
        const FailureClass *class = reliability_class(reliability, i);
        phase->class_rate_per_s[i] = class->rate_per_s * units_of(scenario, class);
    }
    status = convert_wall_rates(reliability, input, phase, error);
    if (status != STATUS_OK)
        return status;
    input->phase_count++;
    phase->interval_s =
        reliability->interval_rule == INTERVAL_FIXED
            ? reliability->interval_s
            : run_interval_exact(run_mtbf_s(input, phase),
                                 input->saves.in_memory != 0
                                     ? input->saves.memory_stall_s +
                                           input->saves.stall_s / input->saves.memory_every
                                     : input->saves.stall_s);
    return STATUS_OK;
}

Status run_input(const Scenario *scenario, double step_s, double step_tokens, RunInput *input,
                 Error *error)
{
    const ReliabilitySpec *reliability = &scenario->reliability;
    *input = (RunInput){.replacement_s = reliability->replacement_s + reliability->scheduling_s,
                        .warm_up_s = reliability->warm_up_s,
                        .restart_clock = reliability->restart_clock};
    Status status = check_spec(reliability, error);
    if (status != STATUS_OK)
        return status;
    set_classes(reliability, input);
    set_saves(scenario, input);
    set_parts(scenario, input);
    return run_add_phase(input, scenario, scenario->training.tokens, step_s, step_tokens, 0.0,
                         error);
}

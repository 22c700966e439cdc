#include "sim/training/draw.h"

#include "models/architecture.h"
#include "models/plan_check.h"
#include "sim/training/run_cost.h"

#include <math.h>

static const double HOUR_S = 3600.0, DAY_S = 86400.0, KWH_J = 3.6e6;

const ColumnName draw_columns[DRAW_COLUMNS] = {
    [COLUMN_STEP_SECONDS] = {"step.seconds", "s"},
    [COLUMN_STEP_MFU] = {"step.mfu", ""},
    [COLUMN_STEP_MFU_6ND] = {"step.mfu_6nd", ""},
    [COLUMN_STEP_MFU_BF16_PEAK] = {"step.mfu_bf16_peak", ""},
    [COLUMN_STEP_HFU] = {"step.hfu", ""},
    [COLUMN_STEP_TFLOPS] = {"step.tflops_per_gpu", "TFLOP/s"},
    [COLUMN_STEP_TOKENS_PER_S] = {"step.tokens_per_s_per_gpu", "tokens/s"},
    [COLUMN_STEP_BUBBLE] = {"step.bubble_fraction", ""},
    [COLUMN_COMPUTE] = {"step.breakdown_s.compute", "s"},
    [COLUMN_RECOMPUTE] = {"step.breakdown_s.recompute", "s"},
    [COLUMN_TENSOR] = {"step.breakdown_s.tensor", "s"},
    [COLUMN_EXPERT] = {"step.breakdown_s.expert", "s"},
    [COLUMN_EXPERT_IMBALANCE] = {"step.breakdown_s.expert_imbalance", "s"},
    [COLUMN_BUBBLE] = {"step.breakdown_s.bubble", "s"},
    [COLUMN_STAGE_IMBALANCE] = {"step.breakdown_s.stage_imbalance", "s"},
    [COLUMN_SEND] = {"step.breakdown_s.pipeline_send", "s"},
    [COLUMN_DATA_PARALLEL] = {"step.breakdown_s.data_parallel", "s"},
    [COLUMN_OPTIMIZER] = {"step.breakdown_s.optimizer", "s"},
    [COLUMN_JITTER] = {"step.breakdown_s.jitter", "s"},
    [COLUMN_RUN_DAYS] = {"run.days", "days"},
    [COLUMN_RUN_WALL] = {"run.wall_s", "s"},
    [COLUMN_RUN_GOODPUT] = {"run.goodput", ""},
    [COLUMN_RUN_MFU] = {"run.mfu_effective", ""},
    [COLUMN_RUN_MFU_6ND] = {"run.mfu_effective_6nd", ""},
    [COLUMN_RUN_MFU_BF16_PEAK] = {"run.mfu_effective_bf16_peak", ""},
    [COLUMN_RUN_STEPS] = {"run.steps", "steps"},
    [COLUMN_RUN_FAILURES] = {"run.failures", "failures"},
    [COLUMN_RUN_SAVES] = {"run.saves", "saves"},
    [COLUMN_RUN_GPU_HOURS] = {"run.gpu_hours", "GPU-hours"},
    [COLUMN_RUN_FLOPS] = {"run.flops_total", "FLOPs"},
    [COLUMN_RUN_FLOPS_6ND] = {"run.flops_6nd", "FLOPs"},
    [COLUMN_RUN_MTBF] = {"run.mtbf_hours", "h"},
    [COLUMN_RUN_INTERVAL] = {"run.interval_s", "s"},
    [COLUMN_RUN_INTERVAL_YOUNG] = {"run.interval_young_s", "s"},
    [COLUMN_RUN_INTERVAL_DALY] = {"run.interval_daly_s", "s"},
    [COLUMN_RUN_ETTR_CLOSED_FORM] = {"run.ettr_closed_form", ""},
    [COLUMN_LOST_WORK] = {"run.lost_hours.lost_work", "h"},
    [COLUMN_LOST_SAVE] = {"run.lost_hours.save", "h"},
    [COLUMN_LOST_DETECTION] = {"run.lost_hours.detection", "h"},
    [COLUMN_LOST_REPLACEMENT] = {"run.lost_hours.replacement", "h"},
    [COLUMN_LOST_RESTART] = {"run.lost_hours.restart", "h"},
    [COLUMN_COST] = {"cost.usd", "USD"},
    [COLUMN_COST_GPUS] = {"cost.items_usd.gpus", "USD"},
    [COLUMN_COST_NETWORK] = {"cost.items_usd.network", "USD"},
    [COLUMN_COST_FACILITY] = {"cost.items_usd.facility", "USD"},
    [COLUMN_COST_STORAGE] = {"cost.items_usd.storage", "USD"},
    [COLUMN_COST_ENERGY] = {"cost.items_usd.energy", "USD"},
    [COLUMN_COST_STAFF] = {"cost.items_usd.staff", "USD"},
    [COLUMN_COST_FAILURES] = {"cost.items_usd.failures", "USD"},
    [COLUMN_COST_FAILURES_SHARE] = {"cost.failures_share", ""},
    [COLUMN_COST_SPARES] = {"cost.spares_usd", "USD"},
    [COLUMN_COST_PER_GPU_HOUR] = {"cost.usd_per_gpu_hour", "USD/h"},
    [COLUMN_ENERGY] = {"cost.energy_kwh", "kWh"},
    [COLUMN_CO2] = {"cost.co2_kg", "kg"},
};

Status draw_worker_open(DrawWorker *worker, Error *error)
{
    worker->simulator = step_simulator_create(error);
    worker->runs = worker->simulator != NULL ? run_simulator_create(error) : NULL;
    return worker->runs != NULL ? STATUS_OK : STATUS_ENVIRONMENT;
}

void draw_worker_close(DrawWorker *worker)
{
    step_simulator_destroy(worker->simulator);
    run_simulator_destroy(worker->runs);
}

static double peak_bf16_flops_per_s(const Scenario *drawn, double gpus)
{
    const HardwareSpec *hardware = &drawn->hardware;
    const double older = plan_older_share(drawn);
    return gpus * ((1.0 - older) * hardware->gpu.peak_bf16_flops_per_s +
                   older * hardware->older_gpu.peak_bf16_flops_per_s);
}

/* The folded step and what the slowest of all replicas adds to it. */
static double fill_step(const Scenario *drawn, const StepInput *input, const StepResult *folded,
                        const JitterPenalty *penalty, double *row)
{
    const StepBreakdown *b = &folded->breakdown;
    double jitter_s = jitter_penalty_at(penalty, input->jitter) * (b->compute_s + b->recompute_s);
    double seconds = folded->seconds + jitter_s;
    double slower = folded->seconds / seconds;
    double bf16_peak = peak_bf16_flops_per_s(drawn, input->gpus);

    row[COLUMN_STEP_SECONDS] = seconds;
    row[COLUMN_STEP_MFU] = folded->mfu * slower;
    row[COLUMN_STEP_MFU_6ND] =
        model_flops_6nd(&drawn->model) * input->tokens / (seconds * input->peak_flops_per_s);
    row[COLUMN_STEP_MFU_BF16_PEAK] = input->model_flops / (seconds * bf16_peak);
    row[COLUMN_STEP_HFU] = folded->hfu * slower;
    row[COLUMN_STEP_TFLOPS] = folded->tflops_per_gpu * slower;
    row[COLUMN_STEP_TOKENS_PER_S] = folded->tokens_per_s_per_gpu * slower;
    row[COLUMN_STEP_BUBBLE] = folded->bubble_fraction;
    row[COLUMN_COMPUTE] = b->compute_s;
    row[COLUMN_RECOMPUTE] = b->recompute_s;
    row[COLUMN_TENSOR] = b->tensor_s;
    row[COLUMN_EXPERT] = b->expert_s;
    row[COLUMN_EXPERT_IMBALANCE] = b->expert_imbalance_s;
    row[COLUMN_BUBBLE] = b->bubble_s;
    row[COLUMN_STAGE_IMBALANCE] = b->stage_imbalance_s;
    row[COLUMN_SEND] = b->pipeline_send_s;
    row[COLUMN_DATA_PARALLEL] = b->data_parallel_s;
    row[COLUMN_OPTIMIZER] = b->optimizer_s;
    row[COLUMN_JITTER] = jitter_s;
    return seconds;
}

static void fill_run(const Scenario *drawn, const StepInput *input, const RunInput *run,
                     const RunOutcome *outcome, double *row)
{
    const double tokens = drawn->training.tokens;
    double flops =
        model_flops_per_token(&drawn->model, drawn->training.sequence_length).training * tokens;
    double flops_6nd = model_flops_6nd(&drawn->model) * tokens;
    double bf16_peak = peak_bf16_flops_per_s(drawn, input->gpus);
    const RunPhase *phase = &run->phases[0];
    double mtbf_s = run_mtbf_s(run, phase);
    double save_never_s = phase->useful_s; /* an interval this long or longer is one segment */

    row[COLUMN_RUN_WALL] = outcome->wall_s;
    row[COLUMN_RUN_DAYS] = outcome->wall_s / DAY_S;
    row[COLUMN_RUN_GOODPUT] = outcome->goodput;
    row[COLUMN_RUN_MFU] = flops / (outcome->wall_s * input->peak_flops_per_s);
    row[COLUMN_RUN_MFU_6ND] = flops_6nd / (outcome->wall_s * input->peak_flops_per_s);
    row[COLUMN_RUN_MFU_BF16_PEAK] = flops / (outcome->wall_s * bf16_peak);
    row[COLUMN_RUN_STEPS] = round(phase->useful_s / phase->step_s);
    row[COLUMN_RUN_FAILURES] = outcome->failures;
    row[COLUMN_RUN_SAVES] = outcome->saves;
    row[COLUMN_RUN_FLOPS] = flops;
    row[COLUMN_RUN_FLOPS_6ND] = flops_6nd;
    row[COLUMN_RUN_MTBF] = mtbf_s / HOUR_S;
    row[COLUMN_RUN_INTERVAL] = fmin(run_interval_in_steps(phase), save_never_s);
    row[COLUMN_RUN_INTERVAL_YOUNG] =
        fmin(run_interval_young(mtbf_s, run->saves.stall_s), save_never_s);
    row[COLUMN_RUN_INTERVAL_DALY] =
        fmin(run_interval_daly(mtbf_s, run->saves.stall_s), save_never_s);
    row[COLUMN_RUN_ETTR_CLOSED_FORM] = run_ettr_closed_form(run);
    row[COLUMN_LOST_WORK] = outcome->ledger.lost_work_s / HOUR_S;
    row[COLUMN_LOST_SAVE] = outcome->ledger.save_s / HOUR_S;
    row[COLUMN_LOST_DETECTION] = outcome->ledger.detection_s / HOUR_S;
    row[COLUMN_LOST_REPLACEMENT] = outcome->ledger.replacement_s / HOUR_S;
    row[COLUMN_LOST_RESTART] = (outcome->ledger.init_s + outcome->ledger.load_s) / HOUR_S;
}

/* Every GPU of the job is paid for from the first to the last second, failures included. */
static void fill_cost(const Scenario *drawn, const StepInput *input, const RunOutcome *outcome,
                      double *row)
{
    double gpus = fmax(drawn->hardware.gpus, input->gpus);
    double nodes = ceil(gpus / drawn->hardware.node.gpus);
    double useful_s = outcome->goodput * outcome->wall_s;
    const PaidTime paid = {.wall_s = outcome->wall_s,
                           .gpu_s = gpus * outcome->wall_s,
                           .node_s = nodes * outcome->wall_s,
                           .useful_s = useful_s,
                           .useful_gpu_s = gpus * useful_s,
                           .useful_node_s = nodes * useful_s};
    const RunCost cost = run_cost(drawn, &paid);

    row[COLUMN_RUN_GPU_HOURS] = paid.gpu_s / HOUR_S;
    row[COLUMN_COST] = cost.usd;
    row[COLUMN_COST_GPUS] = cost.gpus_usd;
    row[COLUMN_COST_NETWORK] = cost.network_usd;
    row[COLUMN_COST_FACILITY] = cost.facility_usd;
    row[COLUMN_COST_STORAGE] = cost.storage_usd;
    row[COLUMN_COST_ENERGY] = cost.energy_usd;
    row[COLUMN_COST_STAFF] = cost.staff_usd;
    row[COLUMN_COST_FAILURES] = cost.failures_usd;
    row[COLUMN_COST_FAILURES_SHARE] = cost.usd > 0.0 ? cost.failures_usd / cost.usd : 0.0;
    row[COLUMN_COST_SPARES] = cost.spares_usd;
    row[COLUMN_COST_PER_GPU_HOUR] = cost.usd / (paid.gpu_s / HOUR_S);
    row[COLUMN_ENERGY] = cost.energy_j / KWH_J;
    row[COLUMN_CO2] = cost.energy_j * drawn->prices.co2_kg_per_j;
}

Status draw_simulate(DrawWorker *worker, const Scenario *drawn, const JitterPenalty *penalty,
                     unsigned long long seed, unsigned long long replication, double *row,
                     Error *error)
{
    StepResult folded;
    RunInput run;
    RunOutcome outcome;
    Status status = step_input(drawn, seed, replication, &worker->input, error);
    if (status == STATUS_OK)
        status = step_simulate(worker->simulator, &worker->input, DETAIL_FOLDED, seed, replication,
                               0, &folded, error);
    if (status != STATUS_OK)
        return status;
    double step_s = fill_step(drawn, &worker->input, &folded, penalty, row);

    status = run_input(drawn, step_s, worker->input.tokens, &run, error);
    if (status == STATUS_OK)
        status = run_simulate(worker->runs, &run, seed, replication, &outcome, error);
    if (status != STATUS_OK)
        return status;
    fill_run(drawn, &worker->input, &run, &outcome, row);
    fill_cost(drawn, &worker->input, &outcome, row);
    return STATUS_OK;
}

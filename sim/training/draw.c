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
    [COLUMN_EXPERT_JITTER] = {"step.breakdown_s.expert_jitter", "s"},
    [COLUMN_JITTER] = {"step.breakdown_s.jitter", "s"},
    [COLUMN_EXPERT_COST] = {"step.expert_load.share_of_step", ""},
    [COLUMN_EXPERT_MOST] = {"step.expert_load.max_over_mean", ""},
    [COLUMN_EXPERT_RANK_MOST] = {"step.expert_load.rank_max_over_mean", ""},
    [COLUMN_EXPERT_DROPPED] = {"step.expert_load.dropped_share", ""},
    [COLUMN_LOADING] = {"data.exposed_s", "s"},
    [COLUMN_LOADED_BYTES] = {"data.bytes_per_s", "bytes/s"},
    [COLUMN_LOADED_BYTES_PER_TOKEN] = {"data.bytes_per_token", "bytes"},
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

/* What the storage gives out for one step: text by the token, images by the sequence. */
static double loaded_bytes(const Scenario *drawn, double step_tokens)
{
    const VisionSpec *vision = &drawn->model.vision;
    const double sequences = step_tokens / drawn->training.sequence_length;
    return step_tokens * drawn->data.text_bytes_per_token +
           sequences * vision->images * vision->bytes;
}

/* Batches are loaded beside the step before: only what takes longer than that shows. */
static double exposed_loading_s(const Scenario *drawn, double step_tokens, double step_s)
{
    if (!(drawn->data.read_bytes_per_s > 0.0))
        return 0.0;
    return fmax(0.0, loaded_bytes(drawn, step_tokens) / drawn->data.read_bytes_per_s - step_s);
}

/* The folded step and what the slowest of all replicas adds to it. */
static void fill_step(const Scenario *drawn, const StepInput *input, const StepResult *folded,
                      double expert_jitter_s, double jitter_s, const RunPart *part, double *row)
{
    const StepBreakdown *b = &folded->breakdown;
    double seconds = folded->seconds + expert_jitter_s + jitter_s;
    double slower = folded->seconds / seconds;
    double bf16_peak = part->peak_bf16_flops_per_s;

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
    row[COLUMN_EXPERT_JITTER] = expert_jitter_s;
    row[COLUMN_JITTER] = jitter_s;
    row[COLUMN_LOADING] = part->loading_s;
    row[COLUMN_LOADED_BYTES] = loaded_bytes(drawn, input->tokens) / part->step_s;
    row[COLUMN_LOADED_BYTES_PER_TOKEN] = loaded_bytes(drawn, input->tokens) / input->tokens;
}

/* How unevenly tokens meet experts, and what share of the step it costs. */
static void fill_expert_load(const Scenario *drawn, const StepInput *input, double *row)
{
    const int dense = drawn->model.experts <= 1.0;
    const double lost_s = row[COLUMN_EXPERT_IMBALANCE] + row[COLUMN_EXPERT_JITTER];
    row[COLUMN_EXPERT_COST] = dense ? nan("") : lost_s / row[COLUMN_STEP_SECONDS];
    row[COLUMN_EXPERT_MOST] = dense ? nan("") : input->expert_max_over_mean;
    row[COLUMN_EXPERT_RANK_MOST] = dense ? nan("") : input->rank_max_over_mean;
    row[COLUMN_EXPERT_DROPPED] = dense ? nan("") : input->dropped_share;
}

static void fill_run(const RunInput *run, const CourseSum *sum, const RunOutcome *outcome,
                     double *row)
{
    const RunPhase *phase = &run->phases[0];
    double mtbf_s = run_mtbf_s(run, phase);
    double save_never_s = phase->useful_s; /* an interval this long or longer is one segment */

    row[COLUMN_RUN_WALL] = outcome->wall_s;
    row[COLUMN_RUN_DAYS] = outcome->wall_s / DAY_S;
    row[COLUMN_RUN_GOODPUT] = outcome->goodput;
    row[COLUMN_RUN_MFU] = sum->flops / sum->peak_flops;
    row[COLUMN_RUN_MFU_6ND] = sum->flops_6nd / sum->peak_flops;
    row[COLUMN_RUN_MFU_BF16_PEAK] = sum->flops / sum->peak_bf16_flops;
    row[COLUMN_RUN_STEPS] = sum->steps;
    row[COLUMN_RUN_FAILURES] = outcome->failures;
    row[COLUMN_RUN_SAVES] = outcome->saves;
    row[COLUMN_RUN_FLOPS] = sum->flops;
    row[COLUMN_RUN_FLOPS_6ND] = sum->flops_6nd;
    row[COLUMN_RUN_MTBF] = mtbf_s / HOUR_S;
    row[COLUMN_RUN_INTERVAL] = fmin(run_interval_in_steps(phase), save_never_s);
    row[COLUMN_RUN_INTERVAL_YOUNG] =
        fmin(run_interval_young(mtbf_s, run->saves.stall_s), save_never_s);
    row[COLUMN_RUN_INTERVAL_DALY] =
        fmin(run_interval_daly(mtbf_s, run->saves.stall_s), save_never_s);
    row[COLUMN_RUN_ETTR_CLOSED_FORM] = run_ettr_closed_form(run);
}

/* Every GPU is paid for from the first to the last second of its phase, failures included. */
static void fill_cost(const Scenario *drawn, const PaidTime *paid, double *row)
{
    const RunCost cost = run_cost(drawn, paid);

    row[COLUMN_RUN_GPU_HOURS] = paid->gpu_s / HOUR_S;
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
    row[COLUMN_COST_PER_GPU_HOUR] = cost.usd / (paid->gpu_s / HOUR_S);
    row[COLUMN_ENERGY] = cost.energy_j / KWH_J;
    row[COLUMN_CO2] = cost.energy_j * drawn->prices.co2_kg_per_j;
}

/* One part: its step, and what the run needs of it. */
static Status simulate_part(DrawWorker *worker, const Scenario *one, double gpus_paid,
                            const JitterPenalty *penalty, unsigned long long seed,
                            unsigned long long replication, int wanted, RunPart *part, double *row,
                            Error *error)
{
    StepResult folded;
    Status status = step_input(one, seed, replication, &worker->input, error);
    if (status == STATUS_OK)
        status = step_simulate(worker->simulator, &worker->input, DETAIL_FOLDED, seed, replication,
                               0, &folded, error);
    if (status != STATUS_OK)
        return status;
    const StepBreakdown *b = &folded.breakdown;
    double jitter_s =
        jitter_penalty_at(penalty, worker->input.jitter) * (b->compute_s + b->recompute_s);
    double expert_jitter_s = jitter_penalty_expert_s(penalty, &worker->input);
    double seconds = folded.seconds + expert_jitter_s + jitter_s;
    run_part_begin(one, &worker->input, gpus_paid, part);
    part->loading_s = exposed_loading_s(one, worker->input.tokens, seconds);
    part->step_s = seconds + part->loading_s;
    if (wanted) {
        fill_step(one, &worker->input, &folded, expert_jitter_s, jitter_s, part, row);
        fill_expert_load(one, &worker->input, row);
    }
    return STATUS_OK;
}

Status draw_simulate(DrawWorker *worker, const Scenario *drawn, const JitterPenalty *penalty,
                     unsigned long long seed, unsigned long long replication, double *row,
                     Error *error)
{
    CoursePart parts[MAX_COURSE_PARTS];
    RunCourse *course = &worker->course;
    RunOutcome outcome;
    Scenario one;
    const CoursePart leading = course_main(drawn);
    const size_t count = course_parts(drawn, parts);
    Status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const double gpus_paid =
            drawn->course_count > 0 ? drawn->course[parts[i].phase].gpus_paid : 0.0;
        const int wanted = parts[i].phase == leading.phase &&
                           !(parts[i].batch_tokens > leading.batch_tokens) &&
                           !(parts[i].batch_tokens < leading.batch_tokens);
        course_apply(drawn, &parts[i], &one);
        status = simulate_part(worker, &one, gpus_paid, penalty, seed, replication, wanted,
                               &course->parts[i], row, error);
    }
    if (status == STATUS_OK)
        status = course_run_input(worker->runs, drawn, seed, replication, course, error);
    if (status == STATUS_OK)
        run_traces_attach(worker->traces, &course->run);
    if (status == STATUS_OK)
        status = run_simulate(worker->runs, &course->run, seed, replication, &outcome, error);
    if (status != STATUS_OK)
        return status;
    const CourseSum sum = course_sum(course, &outcome, 0, course->part_count);
    fill_run(&course->run, &sum, &outcome, row);
    fill_cost(drawn, &sum.paid, row);
    for (size_t i = 0; i < drawn->course_count; i++)
        course_phase_row(drawn, course, &outcome, i, row + DRAW_COLUMNS + i * PHASE_COLUMNS);
    double *ledgers = row + DRAW_COLUMNS + drawn->course_count * PHASE_COLUMNS;
    run_metrics_row(&outcome, ledgers);
    for (size_t i = 0; i < course->run.class_count; i++)
        ledgers[run_column_count() + i] = outcome.failures_by_class[i];
    return STATUS_OK;
}

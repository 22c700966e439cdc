#include "sim/training/forecast.h"

#include "configs/reader/sample.h"
#include "sim/engine/parallel.h"
#include "sim/engine/random.h"
#include "sim/training/draw.h"
#include "sim/training/feasible.h"
#include "sim/training/nominal.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Draws of a plan that does not fit are repeated; a scenario that needs more than this is refused.
 */
enum { MAX_ATTEMPTS = 200 };

/* All draws: shared by the threads, each of which writes only what belongs to its index. */
typedef struct Sampling {
    const ForecastOptions *options;
    const Scenario *scenario; /* without the dropped choices */
    JitterPenalty penalty;
    size_t threads;
    DrawWorker *workers;
    RunTraces traces;
    double *columns;     /* [column_count][reps] */
    size_t column_count; /* of one draw, phases included */
    double *inputs;      /* [uncertain_count][reps] */
    double *attempts;    /* [reps] */
    size_t reps, first;  /* those before `first` are there */
    atomic_size_t done;
} Sampling;

static void sampling_free(Sampling *sampling)
{
    for (size_t i = 0; sampling->workers != NULL && i < sampling->threads; i++)
        draw_worker_close(&sampling->workers[i]);
    free(sampling->workers);
    run_traces_free(&sampling->traces);
    free(sampling->columns);
    free(sampling->inputs);
    free(sampling->attempts);
}

static Status sampling_create(Sampling *sampling, Error *error)
{
    size_t reps = sampling->reps, inputs = sampling->scenario->uncertain_count;
    if (reps > SIZE_MAX / sizeof(double) / (MAX_ROW + MAX_UNCERTAIN))
        return error_set(error, STATUS_USAGE, "%zu replications are too many", reps);
    sampling->threads = parallel_threads(sampling->options->threads);
    if (sampling->threads > reps)
        sampling->threads = reps;
    sampling->workers = calloc(sampling->threads, sizeof *sampling->workers);
    sampling->column_count = DRAW_COLUMNS + sampling->scenario->course_count * PHASE_COLUMNS +
                             run_column_count() +
                             reliability_class_count(&sampling->scenario->reliability);
    sampling->columns = calloc(reps * sampling->column_count, sizeof *sampling->columns);
    sampling->inputs = calloc(reps * (inputs + 1), sizeof *sampling->inputs);
    sampling->attempts = calloc(reps, sizeof *sampling->attempts);
    if (sampling->workers == NULL || sampling->columns == NULL || sampling->inputs == NULL ||
        sampling->attempts == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu replications", reps);
    Status read = run_traces_read(&sampling->scenario->reliability, &sampling->traces, error);
    if (read != STATUS_OK)
        return read;
    for (size_t i = 0; i < sampling->threads; i++) {
        sampling->workers[i].traces = &sampling->traces;
        Status status = draw_worker_open(&sampling->workers[i], error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Every input from its own stream. A draw whose plan does not fit is drawn again: what is sampled
 * is the scenario given that it fits. The first attempt of replication r uses stream number r. */
static Status draw_scenario(const Sampling *sampling, size_t replication, Scenario *drawn,
                            double *attempts, Error *error)
{
    const Scenario *scenario = sampling->scenario;
    double uniforms[MAX_UNCERTAIN];
    MemoryPlan plan = {0};
    for (uint64_t attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        for (size_t i = 0; i < scenario->uncertain_count; i++) {
            RandomStream stream = random_stream(
                sampling->options->seed, scenario->uncertain[i].path, replication | attempt << 48);
            uniforms[i] = random_uniform_open(&stream);
        }
        scenario_sample(scenario, uniforms, drawn);
        *attempts = (double)attempt + 1.0;
        if (plan_fits(drawn, &plan))
            return STATUS_OK;
    }
    error_set(
        error, STATUS_NO,
        "%d draws in a row give no plan that fits; the last needs %.1f GB of %.1f GB on stage %zu",
        MAX_ATTEMPTS, plan.worst.total_bytes / 1e9, plan.capacity_bytes / 1e9,
        plan.worst_stage + 1);
    error_hint(error, "narrow the ranges of inputs that use memory");
    return STATUS_NO;
}

static Status report_progress(Sampling *sampling, size_t worker, Error *error)
{
    const ForecastOptions *options = sampling->options;
    size_t done = atomic_fetch_add(&sampling->done, 1) + 1;
    if (worker != 0 || options->progress == NULL)
        return STATUS_OK;
    if (options->progress(options->progress_context, done, sampling->reps) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu replications", done,
                     sampling->reps);
}

static Status simulate_draw(void *context, size_t offset, size_t worker, Error *error)
{
    Sampling *sampling = context;
    size_t index = sampling->first + offset;
    const Scenario *scenario = sampling->scenario;
    Scenario drawn;
    double row[MAX_ROW];
    Status status = draw_scenario(sampling, index, &drawn, &sampling->attempts[index], error);
    if (status == STATUS_OK)
        status = draw_simulate(&sampling->workers[worker], &drawn, &sampling->penalty,
                               sampling->options->seed, index, row, error);
    if (status != STATUS_OK)
        return status;

    for (size_t i = 0; i < sampling->column_count; i++)
        sampling->columns[i * sampling->reps + index] = row[i];
    for (size_t i = 0; i < scenario->uncertain_count; i++)
        sampling->inputs[i * sampling->reps + index] =
            scenario_field(&drawn, &scenario->uncertain[i]);
    return report_progress(sampling, worker, error);
}

/* The largest noise that the draws can be expected to hold, and whether it varies. */
static double largest_jitter(const Scenario *scenario, const Scenario *midpoint, int *varies)
{
    const double far_quantile = 1.0 - 1e-6;
    double most = midpoint->hardware.gpu.jitter;
    *varies = 0;
    for (size_t i = 0; i < scenario->uncertain_count; i++) {
        const UncertainInput *input = &scenario->uncertain[i];
        if (input->offset != offsetof(Scenario, hardware.gpu.jitter))
            continue;
        *varies = 1;
        if (input->distribution != DRAW_CHOICE)
            most = fmax(most, uncertain_draw(input, far_quantile));
        for (size_t j = 0; input->distribution == DRAW_CHOICE && j < input->choice_count; j++)
            most = fmax(most, input->choices[j]);
    }
    return most;
}

/* A column that never changes becomes a scalar; one that is not always finite (time between
 * failures of a job that cannot fail) is left out. */
static Status set_column(MetricSet *metrics, const char *name, const char *unit,
                         const double *values, size_t count, Error *error)
{
    int constant = 1;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return STATUS_OK;
        if (values[i] != values[0])
            constant = 0;
    }
    return constant ? metrics_set(metrics, name, unit, values[0], error)
                    : metrics_set_samples(metrics, name, unit, values, count, error);
}

/* What the numbers of a row are called, in its order. */
static ColumnName column_name(const Scenario *scenario, size_t column, char *name, size_t bytes)
{
    size_t phase_columns_count = scenario->course_count * PHASE_COLUMNS;
    if (column < DRAW_COLUMNS)
        return draw_columns[column];
    column -= DRAW_COLUMNS;
    if (column < phase_columns_count) {
        const PhaseColumnName *phase = &phase_columns[column % PHASE_COLUMNS];
        course_metric_name(&scenario->course[column / PHASE_COLUMNS], phase->name, name, bytes);
        return (ColumnName){name, phase->unit};
    }
    column -= phase_columns_count;
    if (column < run_column_count()) {
        RunColumnName ledger = run_column_name(column);
        return (ColumnName){ledger.name, ledger.unit};
    }
    column -= run_column_count();
    run_class_metric_name(reliability_class(&scenario->reliability, column), name, bytes);
    return (ColumnName){name, "failures"};
}

static Status collect(const Sampling *sampling, MetricSet *metrics, Error *error)
{
    Status status = STATUS_OK;
    size_t reps = sampling->reps;
    for (size_t i = 0; status == STATUS_OK && i < sampling->column_count; i++) {
        char name[METRIC_NAME_BYTES];
        ColumnName column = column_name(sampling->scenario, i, name, sizeof name);
        status = set_column(metrics, column.name, column.unit, sampling->columns + i * reps, reps,
                            error);
    }
    for (size_t i = 0; status == STATUS_OK && i < sampling->scenario->uncertain_count; i++) {
        char name[METRIC_NAME_BYTES];
        int length = snprintf(name, sizeof name, "input.%s", sampling->scenario->uncertain[i].path);
        if (length < 0 || (size_t)length >= sizeof name)
            return error_set(error, STATUS_INVALID, "the name of an input is too long: %s",
                             sampling->scenario->uncertain[i].path);
        status = metrics_set_samples(metrics, name, "", sampling->inputs + i * reps, reps, error);
    }
    if (status != STATUS_OK)
        return status;

    double attempts = 0.0;
    for (size_t i = 0; i < reps; i++)
        attempts += sampling->attempts[i];
    return metrics_set(metrics, "plan.share_of_draws_that_fit", "", (double)reps / attempts, error);
}

/* The midpoint scenario at the detail asked for: what timelines and breakdowns are drawn from. */
static Status simulate_midpoint(const Scenario *midpoint, const ForecastOptions *options,
                                TrainForecast *forecast, Error *error)
{
    StepSimulator *simulator = step_simulator_create(error);
    if (simulator == NULL)
        return STATUS_ENVIRONMENT;
    Status status = step_input(midpoint, options->seed, 0, &forecast->step_input, error);
    if (status == STATUS_OK)
        status = step_simulate(simulator, &forecast->step_input, options->detail, options->seed, 0,
                               1, &forecast->step, error);
    if (status == STATUS_OK)
        status = run_input(midpoint, forecast->step.seconds, forecast->step_input.tokens,
                           &forecast->run_input, error);
    step_simulator_destroy(simulator);
    return status;
}

/* ---- precision ---- */

/* `rows` rows of `from` numbers each become rows of `to` numbers; NULL: out of memory. */
static double *longer_rows(double *old, size_t rows, size_t from, size_t to)
{
    double *grown = calloc(rows * to, sizeof *grown);
    for (size_t i = 0; grown != NULL && i < rows; i++)
        memcpy(grown + i * to, old + i * from, from * sizeof *grown);
    if (grown != NULL)
        free(old);
    return grown;
}

static Status grow(Sampling *sampling, size_t reps, Error *error)
{
    struct {
        double **rows;
        size_t count;
    } tables[] = {{&sampling->columns, sampling->column_count},
                  {&sampling->inputs, sampling->scenario->uncertain_count + 1},
                  {&sampling->attempts, 1}};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        double *grown = longer_rows(*tables[i].rows, tables[i].count, sampling->reps, reps);
        if (grown == NULL)
            return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu replications", reps);
        *tables[i].rows = grown;
    }
    sampling->first = sampling->reps;
    sampling->reps = reps;
    return STATUS_OK;
}

/* Half the interval over the value. */
static Status reached_precision(const MetricSet *metrics, const PrecisionTarget *target,
                                double *reached, Error *error)
{
    Summary summary;
    const Metric *metric = metrics_find(metrics, target->metric);
    if (metric == NULL) {
        error_set(error, STATUS_USAGE, "no result is called '%s'", target->metric);
        error_hint(error, "names are those of --json: cost.usd, run.days");
        return STATUS_USAGE;
    }
    Status status = metrics_summary(metric, &summary, error);
    if (status != STATUS_OK)
        return status;
    const double values[] = {summary.mean, summary.p5, summary.p50, summary.p95};
    ConfidenceInterval known = summary.known[target->statistic];
    double half = 0.5 * (known.high - known.low), value = fabs(values[target->statistic]);
    *reached = half > 0.0 ? half / value : 0.0;
    return STATUS_OK;
}

/* Intervals shrink with the square root; at most fourfold at a time, as this is an estimate. */
static size_t next_reps(size_t reps, double reached, double wanted)
{
    const double most = 4.0, least = 1.2, margin = 1.1;
    double factor = margin * (reached / wanted) * (reached / wanted);
    factor = factor < most ? fmax(factor, least) : most;
    return (size_t)fmin(ceil((double)reps * factor), PRECISION_MAX_REPS);
}

static Status simulate_draws(const Feasible *feasible, const ForecastOptions *options,
                             TrainForecast *forecast, Error *error)
{
    Sampling sampling = {.options = options, .scenario = &feasible->kept, .reps = forecast->reps};
    const PrecisionTarget *target = &options->precision;
    atomic_init(&sampling.done, 0);
    int jitter_varies;
    double most_jitter = largest_jitter(&feasible->kept, &feasible->midpoint, &jitter_varies);
    Status status = jitter_penalty_measure(&forecast->step_input, options->detail, options->seed,
                                           options->threads, most_jitter, jitter_varies,
                                           &sampling.penalty, error);
    if (status == STATUS_OK)
        status = sampling_create(&sampling, error);
    while (status == STATUS_OK) {
        status = parallel_for(sampling.reps - sampling.first, sampling.threads, simulate_draw,
                              &sampling, error);
        if (status == STATUS_OK)
            status = collect(&sampling, &forecast->metrics, error);
        if (status != STATUS_OK || target->metric[0] == '\0')
            break;
        status = reached_precision(&forecast->metrics, target, &forecast->precision, error);
        if (forecast->precision <= target->relative || sampling.reps >= PRECISION_MAX_REPS)
            break;
        if (status == STATUS_OK)
            status = grow(&sampling,
                          next_reps(sampling.reps, forecast->precision, target->relative), error);
    }
    forecast->reps = sampling.reps;
    sampling_free(&sampling);
    return status;
}

Status train_forecast(const Scenario *scenario, const ForecastOptions *options,
                      TrainForecast *forecast, Error *error)
{
    memset(forecast, 0, sizeof *forecast);
    metrics_init(&forecast->metrics);
    forecast->reps = options->reps > 0 ? options->reps : 1;

    Feasible *feasible = calloc(1, sizeof *feasible);
    if (feasible == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    Status fits = feasible_choices(scenario, feasible, error);
    if (fits != STATUS_OK && fits != STATUS_NO) {
        free(feasible);
        return fits;
    }
    forecast->memory = feasible->memory;
    forecast->dropped_choices = feasible->dropped;
    snprintf(forecast->dropped_note, sizeof forecast->dropped_note, "%s", feasible->note);

    /* What is reported of one step is that of the phase with most tokens. */
    const CoursePart leading = course_main(&feasible->midpoint);
    course_apply(&feasible->midpoint, &leading, &feasible->midpoint);

    Error metrics_error; /* keeps the reason of STATUS_NO */
    Status status =
        nominal_metrics(&feasible->midpoint, &forecast->memory, &forecast->metrics, &metrics_error);
    if (status != STATUS_OK && error != NULL)
        *error = metrics_error;
    if (status == STATUS_OK)
        status = fits;
    if (status == STATUS_OK)
        status = simulate_midpoint(&feasible->midpoint, options, forecast, error);
    if (status == STATUS_OK)
        status = simulate_draws(feasible, options, forecast, error);
    free(feasible);
    return status;
}

void train_forecast_free(TrainForecast *forecast)
{
    step_result_free(&forecast->step);
    metrics_free(&forecast->metrics);
}

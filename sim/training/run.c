#include "sim/training/run.h"

#include "sim/engine/random.h"

#include <math.h>

/* Where the next failure comes from: drawn, or given. */
typedef struct FailureSource {
    RandomStream times, causes;
    const double *gaps_s; /* NULL: drawn */
    const size_t *gap_causes;
    size_t count, clocks_started, failures_met;
} FailureSource;

/* Training goes through equal segments of tau useful seconds, each followed by a save, and a last
 * one that is not saved. Between events progress is arithmetic. An incarnation is the time from one
 * (re)start of training to the next failure. */
typedef struct Run {
    const RunInput *input;
    FailureSource failures;
    RunOutcome *outcome;
    double tau_s, last_segment_s;
    double saves_needed; /* whole numbers, exact in a double */
    double worked;  /* segments behind us in this incarnation's view, saved or just being saved */
    double durable; /* segments that a restart would find */
    double incarnation_start; /* `durable` when this incarnation began */
    double segment_start_s, save_start_s, restart_start_s;
    bool training, saving, restarting; /* at most one is true; none: down */
    uint64_t incarnation;
    EventId progress, failure; /* pending, 0: none */
    bool finished, gave_up;
} Run;

static void save_started(Engine *engine, void *context, uint64_t unused);
static void save_ended(Engine *engine, void *context, uint64_t unused);
static void save_durable(Engine *engine, void *context, uint64_t incarnation_and_save);
static void run_ended(Engine *engine, void *context, uint64_t unused);
static void failed(Engine *engine, void *context, uint64_t unused);
static void restart_started(Engine *engine, void *context, uint64_t unused);
static void restart_ended(Engine *engine, void *context, uint64_t unused);

static double next_gap_s(Run *run)
{
    FailureSource *source = &run->failures;
    size_t index = source->clocks_started++;
    if (source->gaps_s != NULL)
        return index < source->count ? source->gaps_s[index] : HUGE_VAL;
    return isinf(run->input->mtbf_s) ? HUGE_VAL
                                     : run->input->mtbf_s * random_exponential(&source->times);
}

static size_t next_cause(Run *run)
{
    FailureSource *source = &run->failures;
    const RunInput *input = run->input;
    size_t index = source->failures_met++;
    if (source->gaps_s != NULL)
        return source->gap_causes != NULL && input->class_count > 0
                   ? source->gap_causes[index] % input->class_count
                   : 0;
    if (input->class_count < 2)
        return 0;
    double u = random_uniform(&source->causes);
    size_t cause = 0;
    while (cause + 1 < input->class_count && u >= input->class_share[cause])
        u -= input->class_share[cause++];
    return cause;
}

static void start_failure_clock(Run *run, Engine *engine)
{
    double gap_s = next_gap_s(run);
    run->failure =
        isinf(gap_s) ? 0 : engine_schedule(engine, engine_now(engine) + gap_s, failed, run, 0);
}

static void start_segment(Run *run, Engine *engine)
{
    double now_s = engine_now(engine);
    run->training = true;
    run->segment_start_s = now_s;
    if (run->worked >= run->saves_needed)
        run->progress = engine_schedule(engine, now_s + run->last_segment_s, run_ended, run, 0);
    else
        run->progress = engine_schedule(engine, now_s + run->tau_s, save_started, run, 0);
}

static void save_started(Engine *engine, void *context, uint64_t unused)
{
    Run *run = context;
    run->training = false;
    run->saving = true;
    run->worked += 1.0;
    run->save_start_s = engine_now(engine);
    if (run->input->save_stall_s > 0.0)
        run->progress = engine_schedule(engine, run->save_start_s + run->input->save_stall_s,
                                        save_ended, run, 0);
    else
        save_ended(engine, run, unused);
}

/* Saves of one incarnation become durable in the order in which they were taken. */
static void save_ended(Engine *engine, void *context, uint64_t unused)
{
    (void)unused;
    Run *run = context;
    double now_s = engine_now(engine);
    run->saving = false;
    run->outcome->ledger.save_s += now_s - run->save_start_s;
    run->outcome->saves += 1.0;

    uint64_t save = (uint64_t)(run->worked - run->incarnation_start);
    if (run->input->save_durable_s > 0.0)
        engine_schedule(engine, now_s + run->input->save_durable_s, save_durable, run,
                        run->incarnation << 32 | save);
    else
        run->durable = run->worked;
    start_segment(run, engine);
}

/* A save that was still on its way when its incarnation failed never counts. */
static void save_durable(Engine *engine, void *context, uint64_t incarnation_and_save)
{
    (void)engine;
    Run *run = context;
    if (incarnation_and_save >> 32 == run->incarnation)
        run->durable = run->incarnation_start + (double)(incarnation_and_save & UINT32_MAX);
}

static void run_ended(Engine *engine, void *context, uint64_t unused)
{
    (void)unused;
    Run *run = context;
    run->finished = true;
    run->outcome->wall_s = engine_now(engine);
    engine_stop(engine);
}

/* What the failure costs so far: time since the last durable save (saves apart), or a save or
 * restart cut short. */
static void account_interruption(Run *run, double now_s)
{
    RunLedger *ledger = &run->outcome->ledger;
    ledger->lost_work_s += (run->worked - run->durable) * run->tau_s;
    if (run->training)
        ledger->lost_work_s += now_s - run->segment_start_s;
    if (run->saving)
        ledger->save_s += now_s - run->save_start_s;
    if (run->restarting)
        ledger->restart_s += now_s - run->restart_start_s;
}

static void failed(Engine *engine, void *context, uint64_t unused)
{
    (void)unused;
    Run *run = context;
    size_t cause = next_cause(run);
    engine_cancel(engine, run->progress);
    account_interruption(run, engine_now(engine));
    run->training = run->saving = run->restarting = false;
    run->failure = 0;
    run->worked = run->incarnation_start = run->durable;
    run->incarnation++;

    RunOutcome *outcome = run->outcome;
    outcome->failures += 1.0;
    outcome->failures_by_class[cause] += 1.0;
    if (outcome->failures + outcome->saves > RUN_MAX_EVENTS) {
        run->gave_up = true;
        engine_stop(engine);
        return;
    }
    double detection_s = run->input->class_count > 0 ? run->input->class_detection_s[cause] : 0.0;
    outcome->ledger.detection_s += detection_s;
    outcome->ledger.replacement_s += run->input->replacement_s;
    engine_schedule(engine, engine_now(engine) + detection_s + run->input->replacement_s,
                    restart_started, run, 0);
}

static void restart_started(Engine *engine, void *context, uint64_t unused)
{
    (void)unused;
    Run *run = context;
    run->restarting = true;
    run->restart_start_s = engine_now(engine);
    if (run->input->restart_clock == RESTART_EXPOSED)
        start_failure_clock(run, engine);
    double restart_s = run->input->init_s + run->input->load_s;
    run->progress =
        engine_schedule(engine, run->restart_start_s + restart_s, restart_ended, run, 0);
}

static void restart_ended(Engine *engine, void *context, uint64_t unused)
{
    (void)unused;
    Run *run = context;
    run->restarting = false;
    run->outcome->ledger.restart_s += engine_now(engine) - run->restart_start_s;
    if (run->input->restart_clock != RESTART_EXPOSED)
        start_failure_clock(run, engine);
    start_segment(run, engine);
}

static Status check_input(const RunInput *input, Error *error)
{
    const double times[] = {input->useful_s,      input->save_stall_s, input->save_durable_s,
                            input->replacement_s, input->init_s,       input->load_s};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (!isfinite(times[i]) || times[i] < 0.0)
            return error_set(error, STATUS_INVALID, "a run needs finite times of at least 0");
    if (!(input->useful_s > 0.0) || !(input->mtbf_s > 0.0) || !(run_interval_in_steps(input) > 0.0))
        return error_set(error, STATUS_INVALID,
                         "a run needs work, a mean time between failures and an interval above 0");
    if (input->class_count > MAX_FAILURE_CLASSES)
        return error_set(error, STATUS_INVALID, "more than %d failure classes",
                         MAX_FAILURE_CLASSES);
    for (size_t i = 0; i < input->class_count; i++)
        if (!isfinite(input->class_detection_s[i]) || !(input->class_detection_s[i] >= 0.0))
            return error_set(error, STATUS_INVALID, "failure class %zu: detection takes %g s", i,
                             input->class_detection_s[i]);
    return STATUS_OK;
}

/* Segments, and failures as S1 and S2 expect them: e^(R/M) (e^((tau + delta)/M) - 1) a segment. */
static Status check_finishes(const Run *run, Error *error)
{
    const RunInput *input = run->input;
    double failures = 0.0;
    if (run->failures.gaps_s == NULL && !isinf(input->mtbf_s)) {
        double exposed_s =
            input->restart_clock == RESTART_EXPOSED ? input->init_s + input->load_s : 0.0;
        failures = exp(exposed_s / input->mtbf_s) *
                   (run->saves_needed * expm1((run->tau_s + input->save_stall_s) / input->mtbf_s) +
                    expm1(run->last_segment_s / input->mtbf_s));
    }
    if (failures + run->saves_needed <= RUN_MAX_EVENTS)
        return STATUS_OK;
    error_set(error, STATUS_NO,
              "the run does not finish: %.3g s between failures against %.3g s between saves, %.3g "
              "s a save",
              input->mtbf_s, run->tau_s, input->save_stall_s);
    error_hint(error, "expected: %.3g saves, %.3g failures; at most %d can be simulated",
               run->saves_needed, failures, RUN_MAX_EVENTS);
    return STATUS_NO;
}

/* Whole segments but for the last; an interval as long as the work or longer leaves one segment. */
static void cut_segments(Run *run)
{
    double useful_s = run->input->useful_s;
    const double rounding = 1e-9; /* of a segment: work that ends on a save needs none there */
    run->tau_s = fmin(run_interval_in_steps(run->input), useful_s);
    run->saves_needed = fmax(0.0, ceil(useful_s / run->tau_s - rounding) - 1.0);
    run->last_segment_s = useful_s - run->saves_needed * run->tau_s;
}

static Status simulate(Engine *engine, Run *run, Error *error)
{
    Status status = check_input(run->input, error);
    if (status != STATUS_OK)
        return status;
    *run->outcome = (RunOutcome){0};
    cut_segments(run);
    status = check_finishes(run, error);
    if (status != STATUS_OK)
        return status;

    engine_reset(engine);
    start_failure_clock(run, engine);
    start_segment(run, engine);
    status = engine_run(engine, HUGE_VAL, error);
    if (status != STATUS_OK)
        return status;
    if (run->gave_up || !run->finished)
        return error_set(error, STATUS_NO,
                         "the run does not finish: stopped after %.0f failures and %.0f saves",
                         run->outcome->failures, run->outcome->saves);

    run->outcome->ledger.useful_s = run->input->useful_s;
    run->outcome->goodput = run->input->useful_s / run->outcome->wall_s;
    return STATUS_OK;
}

Status run_simulate(Engine *engine, const RunInput *input, unsigned long long seed,
                    unsigned long long replication, RunOutcome *outcome, Error *error)
{
    Run run = {.input = input,
               .outcome = outcome,
               .failures = {.times = random_stream(seed, "failures", replication),
                            .causes = random_stream(seed, "failure causes", replication)}};
    return simulate(engine, &run, error);
}

Status run_replay(Engine *engine, const RunInput *input, const double *gaps_s, const size_t *causes,
                  size_t count, RunOutcome *outcome, Error *error)
{
    static const double nothing[1];
    Run run = {.input = input,
               .outcome = outcome,
               .failures = {.gaps_s = gaps_s != NULL ? gaps_s : nothing,
                            .gap_causes = causes,
                            .count = gaps_s != NULL ? count : 0}};
    return simulate(engine, &run, error);
}

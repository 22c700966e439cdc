/* A run: train until the next thing happens, deal with it, go on. */
#include "sim/training/run.h"

#include "sim/training/run_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

RunSimulator *run_simulator_create(Error *error)
{
    RunSimulator *simulator = calloc(1, sizeof *simulator);
    if (simulator == NULL)
        error_set(error, STATUS_ENVIRONMENT, "out of memory for a run");
    return simulator;
}

void run_simulator_destroy(RunSimulator *simulator)
{
    if (simulator == NULL)
        return;
    time_heap_free(&simulator->repairs);
    time_heap_free(&simulator->crews);
    time_heap_free(&simulator->away);
    time_heap_free(&simulator->slow);
    free(simulator->new_repairs);
    free(simulator->series);
    free(simulator->job_lemons);
    free(simulator->spare_lemons);
    free(simulator->lemon_failures);
    free(simulator);
}

/* The next phase; false when there is none. Before a pause the job waits until its save counts. */
static bool next_phase(Run *run)
{
    const RunInput *input = run->input;
    RunLedger *ledger = &run->outcome->ledger;
    if (run->phase + 1 >= input->phase_count)
        return false;
    double nodes_before = input->phases[run->phase].nodes;
    double pause_s = input->phases[run->phase + 1].pause_s;
    progress_end_phase(run);
    run->events += 1.0;
    nodes_phase_changed(run, nodes_before);
    failures_rates_changed(run);
    if (pause_s > 0.0) {
        progress_stand(run, input->saves.durable_s, &ledger->save_s);
        run->storage = run->copied = (RunMark){.phase = run->phase};
        run->memory->series_count = 0;
        progress_stand(run, pause_s, &ledger->planned_s);
        recovery_restart(run, input->saves.load_s);
    }
    return true;
}

static void train_all(Run *run)
{
    bool degradable = run->input->slow.rate_per_node_s > 0.0 || run->input->elastic.replicas >= 2.0;
    while (run->events < RUN_MAX_EVENTS && !run->out_of_memory) {
        double phase_s = progress_left_s(run);
        double failure_s = failures_next_s(run, true);
        double degraded_s = degradable ? degraded_next_s(run) : HUGE_VAL;
        double spike_s =
            isfinite(run->spike_at_s) ? progress_time_to_s(run, run->spike_at_s) : HUGE_VAL;
        double next_s = least(least(phase_s, failure_s), least(degraded_s, spike_s));
        progress_train(run, next_s);
        failures_pass(run, next_s);
        /* of things at the same instant a failure comes first */
        if (failure_s <= next_s) {
            recovery_fail(run, failures_take(run, true));
        } else if (degraded_s <= next_s) {
            run->events += 1.0;
            degraded_take(run);
        } else if (spike_s <= next_s) {
            recovery_spike(run);
        } else if (!next_phase(run)) {
            return;
        }
    }
}

static double ledger_sum(const RunLedger *ledger)
{
    double parts[RUN_LEDGER_PARTS], sum = 0.0;
    memcpy(parts, ledger, sizeof parts);
    for (size_t i = 0; i < RUN_LEDGER_PARTS; i++)
        sum += parts[i];
    return sum;
}

static void conclude(Run *run)
{
    RunOutcome *outcome = run->outcome;
    RunLedger *ledger = &outcome->ledger;
    outcome->phase_wall_s[run->phase] += run->now_s - run->phase_entered_s;
    if (run->now_s > 0.0)
        nodes_end(run);
    ledger->useful_s = run_useful_s(run->input);
    outcome->wall_s = ledger_sum(ledger);
    outcome->time_goodput = (ledger->useful_s + ledger->degraded_s) / outcome->wall_s;
    outcome->throughput_goodput = ledger->useful_s / (ledger->useful_s + ledger->degraded_s);
    outcome->goodput = ledger->useful_s / outcome->wall_s;
}

static Status simulate(Run *run, unsigned long long seed, unsigned long long replication,
                       Error *error)
{
    const RunInput *input = run->input;
    Status status = run_check(input, run->gaps_s == NULL, error);
    if (status != STATUS_OK)
        return status;
    *run->outcome = (RunOutcome){0};
    progress_begin(run);
    nodes_begin(run);
    degraded_begin(run);
    progress_stand(run, input->phases[0].pause_s, &run->outcome->ledger.planned_s);
    failures_begin(run, seed, replication);
    recovery_draw_spike(run);
    train_all(run);
    if (run->out_of_memory)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for a run");
    if (run->events >= RUN_MAX_EVENTS)
        return error_set(error, STATUS_NO,
                         "the run does not finish: stopped after %.0f failures and %.0f saves",
                         run->outcome->failures, run->outcome->saves);
    conclude(run);
    return STATUS_OK;
}

static RunStreams streams_of(unsigned long long seed, unsigned long long replication)
{
    return (RunStreams){
        .failures = random_stream(seed, "failures", replication),
        .causes = random_stream(seed, "failure causes", replication),
        .detection = random_stream(seed, "detection", replication),
        .cures = random_stream(seed, "process restarts", replication),
        .copies = random_stream(seed, "copies in memory", replication),
        .repair = random_stream(seed, "repair", replication),
        .lemons = random_stream(seed, "lemons", replication),
        .slow = random_stream(seed, "slow nodes", replication),
        .spikes = random_stream(seed, "loss spikes", replication),
        .away = random_stream(seed, "replicas away", replication),
    };
}

Status run_simulate(RunSimulator *simulator, const RunInput *input, unsigned long long seed,
                    unsigned long long replication, RunOutcome *outcome, Error *error)
{
    Run run = {.input = input,
               .memory = simulator,
               .outcome = outcome,
               .streams = streams_of(seed, replication)};
    return simulate(&run, seed, replication, error);
}

Status run_replay(RunSimulator *simulator, const RunInput *input, const double *gaps_s,
                  const size_t *causes, size_t count, RunOutcome *outcome, Error *error)
{
    static const double nothing[1];
    Run run = {.input = input,
               .memory = simulator,
               .outcome = outcome,
               .streams = streams_of(0, 0),
               .gaps_s = gaps_s != NULL ? gaps_s : nothing,
               .gap_causes = causes,
               .gap_count = gaps_s != NULL ? count : 0};
    return simulate(&run, 0, 0, error);
}

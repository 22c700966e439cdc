/* Standing still and coming back: after failures, after planned stops, after loss spikes. */
#include "sim/training/run_state.h"

#include <math.h>

static double detection_s(Run *run, const RunClass *class)
{
    if (class->detection_count < 2)
        return class->detection_count > 0 ? class->detection_s[0] : 0.0;
    double u = random_uniform(&run->streams.detection);
    size_t i = 0;
    while (i + 1 < class->detection_count && u >= class->detection_share[i])
        u -= class->detection_share[i++];
    return class->detection_s[i];
}

static bool happens(RandomStream *stream, double probability)
{
    if (probability <= 0.0)
        return false;
    return probability >= 1.0 || random_uniform(stream) < probability;
}

/* Saved in time, or back to the last save that is still good. Returns the time to load it. */
static double lose_work(Run *run, const RunClass *class)
{
    const RunSaves *saves = &run->input->saves;
    if (class->notice_s > 0.0 && class->notice_s >= saves->stall_s + saves->durable_s) {
        progress_save_here(run);
        return saves->load_s;
    }
    RunMark storage = progress_in_storage(run), from = storage;
    bool memory = saves->in_memory != 0 && happens(&run->streams.copies, class->memory_share);
    double useful_s = class->spoiled_s > 0.0 ? progress_useful_s(run) : 0.0;
    if (memory)
        from = progress_in_memory(run);
    if (class->spoiled_s > 0.0) {
        from = progress_before(run, from, most(0.0, useful_s - class->spoiled_s));
        storage = progress_before(run, storage, most(0.0, useful_s - class->spoiled_s));
    }
    if (memory && progress_mark_useful_s(run, from) < progress_mark_useful_s(run, storage))
        from = storage; /* the phase began with a save to storage only */
    size_t phase = run->phase;
    progress_go_back(run, from, &run->outcome->ledger.lost_work_s);
    run->storage = storage;
    run->copied = from;
    if (run->phase != phase)
        failures_rates_changed(run);
    return memory ? saves->memory_load_s : saves->load_s;
}

/* Detection, outage, and a healthy node for each that has to go. Nothing fails meanwhile. */
static void stand_down(Run *run, const RunClass *class)
{
    RunLedger *ledger = &run->outcome->ledger;
    bool planned = isinf(class->notice_s);
    progress_stand(run, detection_s(run, class), &ledger->detection_s);
    progress_stand(run, class->outage_s, planned ? &ledger->planned_s : &ledger->replacement_s);
    if (happens(&run->streams.cures, class->process_restart))
        return;
    double count = class->nodes_taken > 0.0 ? class->nodes_taken : class->per_node != 0 ? 1.0 : 0.0;
    if (count > 0.0 && (run->input->spares.limited != 0 || run->input->lemons.share > 0.0)) {
        double ready_s = nodes_replace(run, count);
        if (ready_s > run->now_s)
            run->outcome->spare_waits += 1.0;
        progress_stand(run, ready_s - run->now_s, &ledger->spare_wait_s);
    }
    progress_stand(run, run->input->replacement_s, &ledger->replacement_s);
}

/* A restart cut short counts for the parts that it had reached. */
static void stand_restarting(Run *run, double seconds, double load_s)
{
    RunLedger *ledger = &run->outcome->ledger;
    double init_s = least(seconds, run->input->phases[run->phase].init_s);
    double loaded_s = least(seconds - init_s, load_s);
    progress_stand(run, init_s, &ledger->init_s);
    progress_stand(run, loaded_s, &ledger->load_s);
    progress_stand(run, seconds - init_s - loaded_s, &ledger->warm_up_s);
}

/* False when it failed again. A failure at the very end of a restart finds it unfinished. */
static bool restart(Run *run, double load_s)
{
    double restart_s = run->input->phases[run->phase].init_s + load_s + run->input->warm_up_s;
    if (run->input->restart_clock == RESTART_EXPOSED) {
        failures_start_clock(run);
        double failure_s = failures_next_s(run, false);
        stand_restarting(run, least(restart_s, failure_s), load_s);
        failures_pass(run, least(restart_s, failure_s));
        if (failure_s <= restart_s)
            return false;
    } else {
        stand_restarting(run, restart_s, load_s);
        failures_start_clock(run);
    }
    failures_skip(run);
    return true;
}

static void count_failure(Run *run, size_t class_index)
{
    RunOutcome *outcome = run->outcome;
    bool planned =
        class_index < run->input->class_count && isinf(run->input->classes[class_index].notice_s);
    run->events += 1.0;
    if (planned)
        outcome->planned_stops += 1.0;
    else
        outcome->failures += 1.0;
    outcome->failures_by_class[class_index] += 1.0;
}

void recovery_fail(Run *run, size_t class_index)
{
    const RunClass *class = &run->input->classes[class_index];
    count_failure(run, class_index);
    if (degraded_drop(run, class)) {
        failures_start_clock(run);
        return;
    }
    for (;;) {
        double load_s = lose_work(run, class);
        stand_down(run, class);
        if (restart(run, load_s) || run->events >= RUN_MAX_EVENTS || run->out_of_memory)
            return;
        class_index = failures_take(run, false);
        class = &run->input->classes[class_index];
        count_failure(run, class_index);
    }
}

void recovery_restart(Run *run, double load_s)
{
    if (restart(run, load_s))
        return;
    recovery_fail(run, failures_take(run, false));
}

/* ---- loss spikes -------------------------------------------------------------------------------
 */

/* At the end of a step that was not trained before. */
void recovery_draw_spike(Run *run)
{
    const RunSpikes *spikes = &run->input->spikes;
    run->spike_at_s = HUGE_VAL;
    if (!(spikes->rate_per_step > 0.0))
        return;
    double steps = whole_up(random_exponential(&run->streams.spikes) / spikes->rate_per_step);
    double from_s = most(run->furthest_s, progress_useful_s(run));
    run->spike_at_s = from_s + steps * run->input->phases[run->phase].step_s;
}

void recovery_spike(Run *run)
{
    const RunSpikes *spikes = &run->input->spikes;
    RunLedger *ledger = &run->outcome->ledger;
    double step_s = run->input->phases[run->phase].step_s;
    double useful_s = progress_useful_s(run);
    double lag_s = spikes->lag_steps * step_s;
    run->events += 1.0;
    run->outcome->spikes += 1.0;

    progress_stand(run, lag_s, &ledger->rollback_s);
    if (run->speed < 1.0)
        progress_stand(run, lag_s * (1.0 / run->speed - 1.0), &ledger->degraded_s);
    run->up_s += lag_s / run->speed;
    double back_to_s = most(0.0, useful_s - spikes->back_steps * step_s);
    RunMark from = progress_before(run, progress_in_storage(run), back_to_s);
    size_t phase = run->phase;
    progress_go_back(run, from, &ledger->rollback_s);
    run->storage = run->copied = from;
    if (run->phase != phase)
        failures_rates_changed(run);
    recovery_draw_spike(run);
    recovery_restart(run, run->input->saves.load_s);
}

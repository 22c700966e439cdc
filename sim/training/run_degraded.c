/* Running below full speed: replicas that are away, and slow nodes that hold up all others. */
#include "sim/training/run_state.h"

#include <math.h>

enum { EVICTED = 1 };

static void adjust_speed(Run *run)
{
    const RunInput *input = run->input;
    double speed = 1.0;
    if (input->elastic.replicas >= 2.0)
        speed = run->live_replicas / input->elastic.replicas;
    double factor = 1.0; /* a synchronous step takes as long as the slowest node */
    for (size_t i = 0; i < 2; i++)
        if (run->slow_nodes[i] > 0.0)
            factor = most(factor, input->slow.factor[i]);
    progress_set_speed(run, speed / factor);
}

static void draw_slow(Run *run)
{
    double nodes = run->input->phases[run->phase].nodes - run->slow_nodes[0] - run->slow_nodes[1];
    double rate_per_s = run->input->slow.rate_per_node_s * nodes;
    run->slow_left_s = rate_per_s > 0.0
                           ? run->up_s + random_exponential(&run->streams.slow) / rate_per_s
                           : HUGE_VAL;
}

void degraded_begin(Run *run)
{
    run->memory->away.count = run->memory->slow.count = 0;
    run->live_replicas = run->input->elastic.replicas;
    run->away = law_sampler(run->input->elastic.away);
    run->slow_duration = law_sampler(run->input->slow.duration);
    draw_slow(run);
}

double degraded_next_s(const Run *run)
{
    double next_s =
        least(time_heap_first_s(&run->memory->away), time_heap_first_s(&run->memory->slow));
    return most(0.0, least(next_s, run->slow_left_s) - run->up_s);
}

/* A node turns slow, for as long as it lasts or until it is put out. */
static void turn_slow(Run *run)
{
    const RunSlow *slow = &run->input->slow;
    size_t factor = random_uniform(&run->streams.slow) < slow->second_factor_share ? 1 : 0;
    double lasts_s = law_draw(&run->slow_duration, &run->streams.slow);
    bool evicted = lasts_s > slow->evict_after_s;
    uint64_t tag = 2 * (uint64_t)factor + (evicted ? EVICTED : 0);
    if (!time_heap_push(&run->memory->slow, run->up_s + least(lasts_s, slow->evict_after_s), tag))
        run->out_of_memory = true;
    run->slow_nodes[factor] += 1.0;
}

static void turn_sound(Run *run)
{
    TimedTag node = time_heap_pop(&run->memory->slow);
    RunLedger *ledger = &run->outcome->ledger;
    run->slow_nodes[node.tag / 2] -= 1.0;
    if ((node.tag & EVICTED) == 0)
        return;
    run->outcome->evictions += 1.0;
    double ready_s = nodes_replace(run, 1.0);
    if (ready_s > run->now_s)
        run->outcome->spare_waits += 1.0;
    progress_stand(run, ready_s - run->now_s, &ledger->spare_wait_s);
    progress_stand(run, run->input->slow.evict_s, &ledger->eviction_s);
}

static void take_replica_back(Run *run)
{
    time_heap_pop(&run->memory->away);
    progress_stand(run, run->input->elastic.rejoin_s, &run->outcome->ledger.elastic_s);
    run->live_replicas += 1.0;
    failures_rates_changed(run);
}

void degraded_take(Run *run)
{
    double away_s = time_heap_first_s(&run->memory->away);
    double slow_s = time_heap_first_s(&run->memory->slow);
    if (away_s <= slow_s && away_s <= run->slow_left_s) {
        take_replica_back(run);
    } else {
        if (slow_s <= run->slow_left_s)
            turn_sound(run);
        else
            turn_slow(run);
        draw_slow(run);
    }
    adjust_speed(run);
}

/* The replica is away from the failure until a node is there and the replica has been rebuilt. */
bool degraded_drop(Run *run, const RunClass *cause)
{
    const RunElastic *elastic = &run->input->elastic;
    if (elastic->replicas < 2.0 || cause->per_node == 0 ||
        run->live_replicas - 1.0 < elastic->minimum_replicas)
        return false;
    double ready_s = nodes_replace(run, most(1.0, cause->nodes_taken));
    double away_s = ready_s - run->now_s + law_draw(&run->away, &run->streams.away);
    if (!time_heap_push(&run->memory->away, run->up_s + away_s, 0))
        run->out_of_memory = true;
    run->live_replicas -= 1.0;
    run->outcome->drops += 1.0;
    progress_stand(run, elastic->drop_s, &run->outcome->ledger.elastic_s);
    failures_rates_changed(run);
    adjust_speed(run);
    return true;
}

#include "sim/serving/replica_parts.h"

#include <math.h>
#include <string.h>

/* Weights that the tokens use and KV, of all layers and ranks, and what drafting reads. */
static double bytes_read(Replica *replica, const PassLoad *load, double repeats)
{
    const TokenCost tokens = stage_cost_tokens(&replica->cost, pass_tokens(load));
    PassLoad middle = *load;
    middle.context += (repeats - 1) / 2;
    const double own =
        replica->ranks * (stage_cost_weight_bytes(&replica->cost, replica->layers, &tokens) +
                          replica->layers * stage_cost_kv_bytes(&replica->cost, &middle) +
                          tokens.head.weights_bytes);
    return repeats * (own + draft_cost_bytes(&replica->draft, &middle));
}

static double later(double a, double b)
{
    return a > b ? a : b;
}

double replica_pass(Replica *replica, LaneClock *clock)
{
    const PassLoad *load = &clock->load;
    const double swap_s = load->swapped * replica->swap_s_per_token;
    double at_s = clock->started_s;
    const size_t slowest =
        iteration_stages(&replica->time, load, replica->stage_s, &clock->slowest);
    clock->bytes = bytes_read(replica, load, 1);
    if (load->prefill > 0) {
        PassLoad answers = *load;
        answers.prefill = 0;
        clock->prefill_s = clock->slowest.total_s;
        if (load->decode > 0)
            clock->prefill_s -= iteration_stage_s(&replica->time, slowest, &answers);
    }
    clock->swap_s = swap_s;
    clock->slowest.overhead_s += swap_s;
    clock->slowest.total_s += swap_s;
    clock->busy_s = replica->stage_s[0] + swap_s;
    for (size_t i = 0; i < replica->layout.stages; i++) {
        at_s = later(at_s, replica->stage_free_s[i]) + replica->stage_s[i] + swap_s;
        replica->stage_free_s[i] = at_s;
    }
    return at_s;
}

double replica_run(Replica *replica, LaneClock *clock, uint64_t repeats, double until_s)
{
    memset(&clock->slowest, 0, sizeof clock->slowest);
    clock->busy_s = iteration_run(&replica->time, &clock->load, repeats, until_s - clock->started_s,
                                  &clock->repeats, &clock->slowest);
    clock->bytes = bytes_read(replica, &clock->load, (double)clock->repeats);
    replica->stage_free_s[0] = clock->started_s + clock->busy_s;
    return replica->stage_free_s[0];
}

void replica_count(Replica *replica, const LaneClock *clock, double given, double blocks)
{
    ReplicaCounters *counters = &replica->counters;
    const PassLoad *load = &clock->load;
    const double repeats = (double)clock->repeats;
    const double pairs =
        given * (load->context + (repeats - 1) / 2) + load->prefill * load->prefill_context;

    counters->iterations += repeats;
    counters->busy_s += clock->busy_s;
    counters->swap_s += clock->swap_s;
    counters->prefill_s += clock->prefill_s;
    stage_time_add(&counters->slowest, &clock->slowest, 1);
    counters->bytes += clock->bytes;
    counters->output_tokens += given;
    counters->input_tokens += load->prefill;
    counters->sequence_iterations += repeats * load->decode;
    counters->flops +=
        (given + load->prefill) * replica->matmul_flops + pairs * replica->pair_flops;
    counters->block_seconds += blocks * (clock->at_s - clock->started_s);
    if (load->drafts > 0) {
        counters->rounds += repeats * load->decode;
        counters->round_tokens += given;
    }
}

void replica_price(Replica *replica, const PassLoad *load, double *stage_s, ServeStageTime *slowest)
{
    draft_cost_pipeline(&replica->draft, &replica->cost, &replica->layout, load, stage_s, slowest);
}

ReplicaCounters replica_counters(const Replica *replica)
{
    ReplicaCounters counters = replica->counters;
    counters.preempted = counters.swapped = counters.cache_asked = counters.cache_hit = 0;
    for (size_t i = 0; i < replica->lane_count; i++) {
        counters.preempted += (double)replica->lanes[i].preempted;
        counters.swapped += (double)replica->lanes[i].swaps;
        counters.cache_asked += replica->lanes[i].cache.asked_tokens;
        counters.cache_hit += replica->lanes[i].cache.hit_tokens;
    }
    return counters;
}

void replica_counters_add(ReplicaCounters *sum, const ReplicaCounters *counters)
{
    sum->input_tokens += counters->input_tokens;
    sum->output_tokens += counters->output_tokens;
    sum->preempted += counters->preempted;
    sum->iterations += counters->iterations;
    sum->busy_s += counters->busy_s;
    sum->prefill_s += counters->prefill_s;
    stage_time_add(&sum->slowest, &counters->slowest, 1);
    sum->flops += counters->flops;
    sum->bytes += counters->bytes;
    sum->block_seconds += counters->block_seconds;
    sum->sequence_iterations += counters->sequence_iterations;
    sum->swapped += counters->swapped;
    sum->swap_s += counters->swap_s;
    sum->cache_asked += counters->cache_asked;
    sum->cache_hit += counters->cache_hit;
    sum->rounds += counters->rounds;
    sum->round_tokens += counters->round_tokens;
    sum->largest_line = fmax(sum->largest_line, counters->largest_line);
}

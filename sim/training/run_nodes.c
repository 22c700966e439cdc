/* Spare nodes, their repair, and nodes that fail more often than others. */
#include "sim/training/run_state.h"

#include <math.h>
#include <stdlib.h>

/* ---- repair ------------------------------------------------------------------------------------
 */

/* Nodes in repair over time: the integrals of their number and of its square. */
static void settle(Run *run, double at_s)
{
    double seconds = fmax(0.0, at_s - run->repair_settled_s);
    run->repair_integral += run->in_repair * seconds;
    run->repair_square_integral += run->in_repair * run->in_repair * seconds;
    run->repair_settled_s = fmax(run->repair_settled_s, at_s);
}

/* The next node out of repair becomes a spare. */
static void take_back(Run *run)
{
    TimedTag node = time_heap_pop(&run->memory->repairs);
    settle(run, node.at_s);
    run->in_repair -= 1.0;
    run->spares += 1.0;
    if (node.tag != 0)
        run->memory->spare_lemons[run->memory->spare_lemon_count++] = (uint32_t)(node.tag - 1);
}

/* Crews take nodes in the order in which they come; with none named there are always enough. */
static void send_to_repair(Run *run, uint64_t tag)
{
    RunSimulator *memory = run->memory;
    double start_s = run->now_s, done_s;
    if (memory->crews.count > 0)
        start_s = fmax(start_s, time_heap_first_s(&memory->crews));
    done_s = start_s + law_draw(&run->repair, &run->streams.repair);
    if (memory->crews.count > 0)
        time_heap_replace_first(&memory->crews, done_s, memory->crews.items[0].tag);
    settle(run, run->now_s);
    run->in_repair += 1.0;
    if (!time_heap_push(&memory->repairs, done_s, tag))
        run->out_of_memory = true;
}

void nodes_end(Run *run)
{
    while (time_heap_first_s(&run->memory->repairs) <= run->now_s)
        take_back(run);
    settle(run, run->now_s);
    double mean = run->repair_integral / run->now_s;
    double square = run->repair_square_integral / run->now_s;
    run->outcome->nodes_in_repair_mean = mean;
    run->outcome->nodes_in_repair_sd = sqrt(fmax(0.0, square - mean * mean));
}

/* ---- lemons ------------------------------------------------------------------------------------
 */

static bool has_lemons(const Run *run)
{
    return run->input->lemons.share > 0.0;
}

/* A new lemon, as good as one can be: it has not failed yet. */
static uint32_t new_lemon(Run *run)
{
    RunSimulator *memory = run->memory;
    if (memory->lemon_count == memory->lemon_capacity) {
        size_t capacity = memory->lemon_capacity > 0 ? 2 * memory->lemon_capacity : 64;
        uint32_t *job = realloc(memory->job_lemons, capacity * sizeof *job);
        memory->job_lemons = job != NULL ? job : memory->job_lemons;
        uint32_t *spare = realloc(memory->spare_lemons, capacity * sizeof *spare);
        memory->spare_lemons = spare != NULL ? spare : memory->spare_lemons;
        uint32_t *failures = realloc(memory->lemon_failures, capacity * sizeof *failures);
        memory->lemon_failures = failures != NULL ? failures : memory->lemon_failures;
        if (job == NULL || spare == NULL || failures == NULL) {
            run->out_of_memory = true;
            return 0;
        }
        memory->lemon_capacity = capacity;
    }
    memory->lemon_failures[memory->lemon_count] = 0;
    return (uint32_t)memory->lemon_count++;
}

static void add_job_lemons(Run *run, double nodes)
{
    double lemons = round(nodes * run->input->lemons.share);
    for (double i = 0.0; i < lemons && !run->out_of_memory; i += 1.0) {
        uint32_t lemon = new_lemon(run);
        if (!run->out_of_memory)
            run->memory->job_lemons[run->memory->job_lemon_count++] = lemon;
    }
}

static uint32_t remove_random(uint32_t *lemons, size_t *count, RandomStream *stream)
{
    size_t index = (size_t)(random_uniform(stream) * (double)*count);
    uint32_t lemon = lemons[index];
    lemons[index] = lemons[--*count];
    return lemon;
}

/* The rate that is given is the mean over all nodes, lemons included, at the start. */
double nodes_lemon_factor(const Run *run)
{
    const RunLemons *lemons = &run->input->lemons;
    double nodes = run->input->phases[run->phase].nodes;
    double share = (double)run->memory->job_lemon_count / nodes;
    double excess = lemons->rate_factor - 1.0;
    return (1.0 + share * excess) / (1.0 + lemons->share * excess);
}

/* Which node failed: the tag of its repair. The lemon leaves the job. */
static uint64_t failed_node(Run *run)
{
    RunSimulator *memory = run->memory;
    double lemons = (double)memory->job_lemon_count;
    double sound = fmax(0.0, run->input->phases[run->phase].nodes - lemons);
    double weight = lemons * run->input->lemons.rate_factor;
    if (!(random_uniform(&run->streams.lemons) * (weight + sound) < weight))
        return 0;
    uint32_t lemon =
        remove_random(memory->job_lemons, &memory->job_lemon_count, &run->streams.lemons);
    memory->lemon_failures[lemon]++;
    bool found = run->input->lemons.removed_after > 0.0 &&
                 memory->lemon_failures[lemon] >= run->input->lemons.removed_after;
    return found ? 0 : 1 + (uint64_t)lemon; /* in its place comes a sound node */
}

/* A spare goes into the job; where spares are not counted, any node of the fleet. */
static void attach_spare(Run *run)
{
    RunSimulator *memory = run->memory;
    bool limited = run->input->spares.limited != 0;
    double u = random_uniform(&run->streams.lemons);
    if (limited && u * run->spares < (double)memory->spare_lemon_count) {
        uint32_t lemon =
            remove_random(memory->spare_lemons, &memory->spare_lemon_count, &run->streams.lemons);
        memory->job_lemons[memory->job_lemon_count++] = lemon;
    } else if (!limited && u < run->input->lemons.share) {
        uint32_t lemon = new_lemon(run);
        if (!run->out_of_memory)
            memory->job_lemons[memory->job_lemon_count++] = lemon;
    }
}

void nodes_phase_changed(Run *run, double nodes_before)
{
    double added = run->input->phases[run->phase].nodes - nodes_before;
    if (has_lemons(run) && added > 0.0)
        add_job_lemons(run, added);
}

/* ---- both --------------------------------------------------------------------------------------
 */

void nodes_begin(Run *run)
{
    const RunSpares *spares = &run->input->spares;
    RunSimulator *memory = run->memory;
    memory->repairs.count = memory->crews.count = 0;
    memory->job_lemon_count = memory->spare_lemon_count = memory->lemon_count = 0;
    run->spares = spares->nodes;
    run->repair = law_sampler(spares->repair);
    for (double crew = 0.0; spares->limited != 0 && crew < spares->crews; crew += 1.0)
        if (!time_heap_push(&memory->crews, 0.0, (uint64_t)crew))
            run->out_of_memory = true;
    if (!has_lemons(run))
        return;
    add_job_lemons(run, run->input->phases[0].nodes);
    double spare_lemons =
        spares->limited != 0 ? round(spares->nodes * run->input->lemons.share) : 0;
    for (double i = 0.0; i < spare_lemons && !run->out_of_memory; i += 1.0) {
        uint32_t lemon = new_lemon(run);
        if (!run->out_of_memory)
            memory->spare_lemons[memory->spare_lemon_count++] = lemon;
    }
}

double nodes_replace(Run *run, double count)
{
    bool limited = run->input->spares.limited != 0, lemons = has_lemons(run);
    double ready_s = run->now_s;
    for (double i = 0.0; i < count; i += 1.0) {
        uint64_t tag = lemons ? failed_node(run) : 0;
        if (limited)
            send_to_repair(run, tag);
        if (run->out_of_memory)
            return ready_s;
    }
    while (limited && time_heap_first_s(&run->memory->repairs) <= run->now_s)
        take_back(run);
    while (limited && run->spares < count) {
        ready_s = time_heap_first_s(&run->memory->repairs);
        take_back(run);
    }
    for (double i = 0.0; lemons && i < count; i += 1.0)
        attach_spare(run);
    if (limited)
        run->spares -= count;
    if (lemons)
        failures_rates_changed(run);
    return ready_s;
}

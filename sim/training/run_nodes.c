/* Spare nodes, their repair, and nodes that fail more often than others. */
#include "sim/training/run_state.h"

#include <math.h>
#include <stdlib.h>

/* ---- repair ------------------------------------------------------------------------------------
 */

/* Nodes in repair over time: the integral of the square of their number. */
static void settle(Run *run, double at_s)
{
    double seconds = most(0.0, at_s - run->repair_settled_s);
    run->repair_square_integral += run->in_repair * run->in_repair * seconds;
    run->repair_settled_s = most(run->repair_settled_s, at_s);
}

static void become_spare(Run *run, uint64_t tag)
{
    run->spares += 1.0;
    if (tag != 0)
        run->memory->spare_lemons[run->memory->spare_lemon_count++] = (uint32_t)(tag - 1);
}

/* The next node out of repair. */
static void take_back(Run *run)
{
    TimedTag node = time_heap_pop(&run->memory->repairs);
    if (run->input->spares.measured != 0) {
        settle(run, node.at_s);
        run->in_repair -= 1.0;
    }
    become_spare(run, node.tag);
}

/* Nodes whose repair has ended become spares; only those that take long get into the heap. */
static void look_at_repairs(Run *run)
{
    RunSimulator *memory = run->memory;
    bool in_order = run->input->spares.measured != 0;
    for (size_t i = 0; i < memory->new_repair_count; i++) {
        TimedTag node = memory->new_repairs[i];
        if (!in_order && node.at_s <= run->now_s)
            become_spare(run, node.tag);
        else if (!time_heap_push(&memory->repairs, node.at_s, node.tag))
            run->out_of_memory = true;
    }
    memory->new_repair_count = 0;
    while (time_heap_first_s(&memory->repairs) <= run->now_s)
        take_back(run);
}

static void note_repair(Run *run, TimedTag node)
{
    RunSimulator *memory = run->memory;
    if (memory->new_repair_count == memory->new_repair_capacity) {
        size_t capacity = memory->new_repair_capacity > 0 ? 2 * memory->new_repair_capacity : 64;
        TimedTag *grown = realloc(memory->new_repairs, capacity * sizeof *grown);
        if (grown == NULL) {
            run->out_of_memory = true;
            return;
        }
        memory->new_repairs = grown;
        memory->new_repair_capacity = capacity;
    }
    memory->new_repairs[memory->new_repair_count++] = node;
}

/* Crews take nodes in the order in which they come; with none named there are always enough. */
static void send_to_repair(Run *run, uint64_t tag)
{
    RunSimulator *memory = run->memory;
    double start_s = run->now_s;
    if (memory->crews.count > 0)
        start_s = most(start_s, time_heap_first_s(&memory->crews));
    double done_s = start_s + law_draw(&run->repair, &run->streams.repair);
    if (memory->crews.count > 0)
        time_heap_replace_first(&memory->crews, done_s, memory->crews.items[0].tag);
    run->repair_integral_s += done_s - run->now_s;
    if (run->input->spares.measured != 0) {
        settle(run, run->now_s);
        run->in_repair += 1.0;
    }
    note_repair(run, (TimedTag){done_s, tag});
}

/* Repairs that end after the run count until its end only. */
void nodes_end(Run *run)
{
    look_at_repairs(run);
    settle(run, run->now_s);
    const TimeHeap *repairs = &run->memory->repairs;
    double integral_s = run->repair_integral_s;
    for (size_t i = 0; i < repairs->count; i++)
        integral_s -= repairs->items[i].at_s - run->now_s;
    double mean = integral_s / run->now_s;
    run->outcome->nodes_in_repair_mean = mean;
    if (run->input->spares.measured != 0)
        run->outcome->nodes_in_repair_sd =
            sqrt(most(0.0, run->repair_square_integral / run->now_s - mean * mean));
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
    double sound = most(0.0, run->input->phases[run->phase].nodes - lemons);
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
    memory->repairs.count = memory->crews.count = memory->new_repair_count = 0;
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
    if (limited && (lemons || run->input->spares.measured != 0))
        look_at_repairs(run); /* in the order of time */
    for (double i = 0.0; i < count && !run->out_of_memory; i += 1.0) {
        uint64_t tag = lemons ? failed_node(run) : 0;
        if (limited)
            send_to_repair(run, tag);
    }
    if (limited && run->spares < count)
        look_at_repairs(run);
    while (limited && run->spares < count && !run->out_of_memory) {
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

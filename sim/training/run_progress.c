/* Progress as a place in the phase's cycles of saves: arithmetic between two happenings. */
#include "sim/training/run_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const RunPhase *phase_of(const Run *run)
{
    return &run->input->phases[run->phase];
}

/* A save between two phases: always before a pause, else where the phase saves at all. */
static bool saved_at_end(const Run *run)
{
    const RunInput *input = run->input;
    if (run->phase + 1 >= input->phase_count)
        return false;
    return isfinite(input->phases[run->phase].interval_s) ||
           input->phases[run->phase + 1].pause_s > 0.0;
}

/* Whole segments but for the last; an interval as long as the work or longer leaves one segment. */
static void cut_grid(Run *run)
{
    const double rounding = 1e-9; /* of a segment: work that ends on a save needs none there */
    const RunSaves *saves = &run->input->saves;
    RunGrid *grid = &run->grid;
    double useful_s = most(0.0, phase_of(run)->useful_s - run->base_s);
    grid->every = saves->in_memory != 0 ? saves->memory_every : 1.0;
    grid->memory_stall_s = saves->in_memory != 0 ? saves->memory_stall_s : 0.0;
    grid->storage_stall_s = saves->stall_s;
    grid->end_stall_s = saved_at_end(run) ? grid->memory_stall_s + grid->storage_stall_s : 0.0;

    grid->tau_s = least(run->interval_s[run->phase], useful_s);
    grid->saves =
        useful_s > 0.0 ? most(0.0, whole_up(useful_s / grid->tau_s - rounding) - 1.0) : 0.0;
    grid->last_useful_s = useful_s - grid->saves * grid->tau_s;
}

static void stretch_grid(Run *run)
{
    RunGrid *grid = &run->grid;
    grid->tau_wall_s = grid->tau_s / run->speed;
    grid->last_wall_s = grid->last_useful_s / run->speed;
    grid->segment_s = grid->tau_wall_s + grid->memory_stall_s;
    grid->cycle_s = grid->every * grid->segment_s + grid->storage_stall_s;
}

/* Where a place in the cycle lies. A happening at the very instant of a save's end finds it
 * unfinished. */
typedef struct Place {
    double segment;             /* of the cycle: 0 .. every - 1 */
    double worked_s, stalled_s; /* wall seconds, in this segment */
} Place;

static Place place_in_cycle(const Run *run, double cycles, double into_cycle_s)
{
    const RunGrid *grid = &run->grid;
    Place place = {0};
    if (grid->every > 1.0 && into_cycle_s > grid->segment_s) {
        double last = least(grid->every - 1.0, grid->saves - cycles * grid->every);
        place.segment = least(whole_up(into_cycle_s / grid->segment_s) - 1.0, last);
    }
    double in_segment_s = into_cycle_s - place.segment * grid->segment_s;
    bool last = cycles * grid->every + place.segment >= grid->saves;
    place.worked_s = least(in_segment_s, last ? grid->last_wall_s : grid->tau_wall_s);
    place.stalled_s = in_segment_s - place.worked_s;
    return place;
}

static double stalled_before(const Run *run, Place place)
{
    return place.segment * run->grid.memory_stall_s + place.stalled_s;
}

void progress_begin(Run *run)
{
    const RunInput *input = run->input;
    for (size_t i = 0; i < input->phase_count; i++) {
        run->phase_start_s[i + 1] = run->phase_start_s[i] + input->phases[i].useful_s;
        run->interval_s[i] = run_interval_in_steps(&input->phases[i]);
    }
    run->memory->series_count = 0;
    run->speed = 1.0;
    cut_grid(run);
    stretch_grid(run);
}

static bool same_grid_as(const Run *run, RunMark mark)
{
    return mark.phase == run->phase && !(mark.base_s < run->base_s) && !(mark.base_s > run->base_s);
}

void progress_enter(Run *run, RunMark mark)
{
    if (mark.phase != run->phase) {
        run->outcome->phase_wall_s[run->phase] += run->now_s - run->phase_entered_s;
        run->phase_entered_s = run->now_s;
    }
    bool same_grid = same_grid_as(run, mark);
    run->phase = mark.phase;
    run->base_s = mark.base_s;
    run->cycles = mark.cycles;
    if (!same_grid) {
        cut_grid(run);
        stretch_grid(run);
    }
    run->into_cycle_s = mark.copies * run->grid.segment_s;
    run->stalled_s = mark.copies * run->grid.memory_stall_s;
}

double progress_useful_s(const Run *run)
{
    Place place = place_in_cycle(run, run->cycles, run->into_cycle_s);
    double segments = run->cycles * run->grid.every + place.segment;
    return run->phase_start_s[run->phase] + run->base_s + segments * run->grid.tau_s +
           place.worked_s * run->speed;
}

double progress_mark_useful_s(const Run *run, RunMark mark)
{
    double saves = mark.cycles * run->grid.every + mark.copies;
    double saved_s = saves > 0.0 ? saves * run->interval_s[mark.phase] : 0.0;
    return run->phase_start_s[mark.phase] + mark.base_s + saved_s;
}

double progress_left_s(const Run *run)
{
    const RunGrid *grid = &run->grid;
    double saves = grid->saves - run->cycles * grid->every;
    double to_storage = grid->every > 1.0 ? floor(saves / grid->every) : saves;
    double end_s = saves * grid->segment_s + to_storage * grid->storage_stall_s +
                   grid->last_wall_s + grid->end_stall_s;
    return most(0.0, end_s - run->into_cycle_s);
}

double progress_time_to_s(const Run *run, double useful_s)
{
    const RunGrid *grid = &run->grid;
    if (useful_s > run->phase_start_s[run->phase + 1])
        return HUGE_VAL;
    double ahead_s = useful_s - run->phase_start_s[run->phase] - run->base_s -
                     run->cycles * grid->every * grid->tau_s;
    double saves = grid->tau_s > 0.0 ? most(0.0, whole_up(ahead_s / grid->tau_s) - 1.0) : 0.0;
    saves = least(saves, grid->saves - run->cycles * grid->every);
    double at_s = saves * grid->segment_s + floor(saves / grid->every) * grid->storage_stall_s +
                  (ahead_s - saves * grid->tau_s) / run->speed;
    return most(0.0, at_s - run->into_cycle_s);
}

/* Series whose last save is durable make all before them useless. */
static void forget_old_series(Run *run)
{
    RunSimulator *memory = run->memory;
    size_t first = memory->series_count;
    while (first > 0) {
        const SaveSeries *series = &memory->series[--first];
        double last_end_s = series->first_end_s + (series->count - 1.0) * series->distance_s;
        if (last_end_s + run->input->saves.durable_s < run->now_s)
            break;
    }
    if (first == 0)
        return;
    memory->series_count -= first;
    memmove(memory->series, memory->series + first, memory->series_count * sizeof *memory->series);
}

static void add_series(Run *run, SaveSeries series)
{
    RunSimulator *memory = run->memory;
    if (memory->series_count == memory->series_capacity)
        forget_old_series(run);
    if (memory->series_count == memory->series_capacity) {
        size_t capacity = memory->series_capacity > 0 ? 2 * memory->series_capacity : 16;
        SaveSeries *grown = realloc(memory->series, capacity * sizeof *grown);
        if (grown == NULL) {
            run->out_of_memory = true;
            return;
        }
        memory->series = grown;
        memory->series_capacity = capacity;
    }
    memory->series[memory->series_count++] = series;
}

/* `count` saves to storage went by, the first of them ending at first_end_s. */
static void note_saves(Run *run, double first_end_s, double count)
{
    run->outcome->saves += count;
    if (run->input->saves.durable_s > 0.0)
        add_series(run, (SaveSeries){.before = {run->phase, run->base_s, run->cycles, 0.0},
                                     .first_end_s = first_end_s,
                                     .distance_s = run->grid.cycle_s,
                                     .count = count});
}

void progress_train(Run *run, double seconds)
{
    const RunGrid *grid = &run->grid;
    double end_s = run->into_cycle_s + seconds, cycles = 0.0;
    if (end_s > grid->cycle_s) {
        double limit = grid->saves - run->cycles * grid->every;
        if (grid->every > 1.0)
            limit = floor(limit / grid->every);
        cycles = least(whole_up(end_s / grid->cycle_s) - 1.0, limit);
        end_s = most(0.0, end_s - cycles * grid->cycle_s);
    }
    Place place = place_in_cycle(run, run->cycles + cycles, end_s);
    double stalled_s = stalled_before(run, place);
    double stall_s = cycles * (grid->every * grid->memory_stall_s + grid->storage_stall_s) +
                     stalled_s - run->stalled_s;
    run->outcome->ledger.save_s += stall_s;
    if (run->speed < 1.0)
        run->outcome->ledger.degraded_s += (seconds - stall_s) * (1.0 - run->speed);
    if (cycles > 0.0)
        note_saves(run, run->now_s + (grid->cycle_s - run->into_cycle_s), cycles);
    run->cycles += cycles;
    run->into_cycle_s = end_s;
    run->stalled_s = stalled_s;
    run->now_s += seconds;
    run->up_s += seconds;
}

void progress_set_speed(Run *run, double speed)
{
    Place place = place_in_cycle(run, run->cycles, run->into_cycle_s);
    double worked_s = place.worked_s * run->speed / speed;
    run->speed = speed;
    stretch_grid(run);
    run->into_cycle_s = place.segment * run->grid.segment_s + worked_s + place.stalled_s;
}

/* The grid of saves starts anew here. */
void progress_save_here(Run *run)
{
    const RunSaves *saves = &run->input->saves;
    RunMark here = {.phase = run->phase,
                    .base_s = progress_useful_s(run) - run->phase_start_s[run->phase]};
    progress_stand(run, saves->stall_s + saves->durable_s, &run->outcome->ledger.save_s);
    run->outcome->saves += 1.0;
    run->memory->series_count = 0;
    run->storage = run->copied = here;
    progress_enter(run, here);
}

/* The save between two phases ended now; before a pause the job waits until it is durable. */
void progress_end_phase(Run *run)
{
    bool saved = saved_at_end(run);
    RunMark next = {.phase = run->phase + 1};
    if (saved && run->input->saves.durable_s > 0.0)
        add_series(run, (SaveSeries){.before = {next.phase, 0.0, -1.0, 0.0},
                                     .first_end_s = run->now_s,
                                     .distance_s = 0.0,
                                     .count = 1.0});
    else if (saved)
        run->storage = next;
    if (saved) {
        run->outcome->saves += 1.0;
        run->copied = next;
    }
    progress_enter(run, next);
}

RunMark progress_in_storage(const Run *run)
{
    double durable_s = run->input->saves.durable_s;
    if (!(durable_s > 0.0)) {
        RunMark last = {run->phase, run->base_s, run->cycles, 0.0};
        bool saved_here = run->cycles > 0.0 || run->storage.phase == run->phase;
        return saved_here ? last : run->storage;
    }
    for (size_t i = run->memory->series_count; i > 0; i--) {
        const SaveSeries *series = &run->memory->series[i - 1];
        double age_s = run->now_s - durable_s - series->first_end_s;
        if (!(age_s > 0.0))
            continue;
        double count = series->count;
        if (series->distance_s > 0.0)
            count = least(count, whole_up(age_s / series->distance_s));
        RunMark mark = series->before;
        mark.cycles += count;
        return mark;
    }
    return run->storage;
}

/* Every save keeps a copy; the one of a whole cycle is copied with the save to storage. */
RunMark progress_in_memory(const Run *run)
{
    const RunGrid *grid = &run->grid;
    double copied_s = run->into_cycle_s - run->input->saves.memory_durable_s;
    RunMark mark = {run->phase, run->base_s, run->cycles, 0.0};
    if (grid->every > 1.0 && copied_s > grid->segment_s)
        mark.copies = least(whole_up(copied_s / grid->segment_s) - 1.0, grid->every - 1.0);
    bool older = progress_mark_useful_s(run, mark) < progress_mark_useful_s(run, run->copied);
    bool none_here = run->cycles <= 0.0 && mark.copies <= 0.0 && run->copied.phase != run->phase;
    return older || none_here ? run->copied : mark;
}

/* Old saves are kept. Where the grid of saves was started anew, older ones are taken to lie on the
 * grid that starts with the phase. */
RunMark progress_before(const Run *run, RunMark mark, double useful_s)
{
    if (progress_mark_useful_s(run, mark) <= useful_s)
        return mark;
    while (mark.phase > 0 && useful_s < run->phase_start_s[mark.phase])
        mark = (RunMark){.phase = mark.phase - 1, .base_s = HUGE_VAL};
    double into_s = most(0.0, useful_s - run->phase_start_s[mark.phase]);
    if (into_s < mark.base_s)
        mark.base_s = 0.0;
    const double rounding = 1e-9; /* of a cycle: a save at that very step counts */
    double cycle_s = run->grid.every * run->interval_s[mark.phase];
    mark.cycles = isfinite(cycle_s) ? floor((into_s - mark.base_s) / cycle_s + rounding) : 0.0;
    mark.copies = 0.0;
    return mark;
}

void progress_go_back(Run *run, RunMark mark, double *ledger)
{
    Place place = place_in_cycle(run, run->cycles, run->into_cycle_s);
    double worked_s = place.worked_s * run->speed;
    double segments = run->cycles * run->grid.every + place.segment;
    if (run->input->spikes.rate_per_step > 0.0)
        run->furthest_s = most(run->furthest_s, progress_useful_s(run));
    if (same_grid_as(run, mark)) { /* no difference of large numbers */
        segments -= mark.cycles * run->grid.every + mark.copies;
        worked_s += segments * run->grid.tau_s;
    } else {
        worked_s = progress_useful_s(run) - progress_mark_useful_s(run, mark);
    }
    *ledger += worked_s;
    run->memory->series_count = 0;
    progress_enter(run, mark);
}

/* What fails next, and when: exponential classes share one clock, every other class has its own. */
#include "sim/training/run_state.h"

#include <math.h>
#include <stdio.h>

static bool has_own_clock(const RunClass *class)
{
    return class->trace_s != NULL || class->calendar != 0 || class->law != LAW_EXPONENTIAL;
}

static double node_factor(const Run *run)
{
    double factor = run->input->lemons.share > 0.0 ? nodes_lemon_factor(run) : 1.0;
    if (run->input->elastic.replicas >= 2.0)
        factor *= run->live_replicas / run->input->elastic.replicas;
    return factor;
}

static double class_rate_per_s(const Run *run, size_t index, double factor)
{
    double rate_per_s = run->input->phases[run->phase].class_rate_per_s[index];
    return run->input->classes[index].per_node != 0 ? rate_per_s * factor : rate_per_s;
}

static void set_clock(Run *run, ClassClock *clock)
{
    const RunClass *class = &run->input->classes[clock->class_index];
    if (class->trace_s != NULL)
        clock->at_s = clock->next < class->trace_count ? class->trace_s[clock->next++] : HUGE_VAL;
    else if (!(clock->rate_per_s > 0.0))
        clock->left_s = clock->at_s = HUGE_VAL;
    else if (clock->calendar)
        clock->at_s = (isfinite(clock->at_s) ? clock->at_s : run->now_s) +
                      law_draw(&clock->unit, &clock->stream) / clock->rate_per_s;
    else
        clock->left_s = law_draw(&clock->unit, &clock->stream) / clock->rate_per_s;
}

void failures_begin(Run *run, unsigned long long seed, unsigned long long replication)
{
    const RunInput *input = run->input;
    for (size_t i = 0; i < input->class_count; i++) {
        const RunClass *class = &input->classes[i];
        run->pooled[i] = !has_own_clock(class);
        if (run->pooled[i] || run->gaps_s != NULL)
            continue;
        char name[48];
        snprintf(name, sizeof name, "failures of class %zu", i);
        ClassClock *clock = &run->clocks[run->clock_count++];
        *clock = (ClassClock){
            .class_index = i,
            .stream = random_stream(seed, name, replication),
            .unit = law_sampler((Law){class->law, 1.0, class->shape}),
            .calendar = class->calendar != 0 || class->trace_s != NULL,
            .rate_per_s = class_rate_per_s(run, i, node_factor(run)),
            .left_s = HUGE_VAL,
        };
        set_clock(run, clock);
    }
    if (run->gaps_s != NULL)
        failures_start_clock(run);
    else
        failures_rates_changed(run);
}

/* Time left to a failure shrinks and grows with the mean time between failures. */
void failures_rates_changed(Run *run)
{
    const RunInput *input = run->input;
    double factor = node_factor(run), pooled_rate_per_s = 0.0;
    if (run->gaps_s != NULL)
        return;
    for (size_t i = 0; i < input->class_count; i++)
        if (run->pooled[i])
            pooled_rate_per_s += class_rate_per_s(run, i, factor);
    double before_per_s = run->pooled_rate_per_s;
    run->pooled_rate_per_s = pooled_rate_per_s;
    if (before_per_s > 0.0 && pooled_rate_per_s > 0.0)
        run->failure_left_s *= before_per_s / pooled_rate_per_s;
    else
        failures_start_clock(run);
    for (size_t i = 0; i < run->clock_count; i++) {
        ClassClock *clock = &run->clocks[i];
        before_per_s = clock->rate_per_s;
        clock->rate_per_s = class_rate_per_s(run, clock->class_index, factor);
        if (before_per_s > 0.0 && clock->rate_per_s > 0.0)
            clock->left_s *= before_per_s / clock->rate_per_s;
        else if (before_per_s > 0.0 || clock->rate_per_s > 0.0)
            set_clock(run, clock);
    }
}

void failures_start_clock(Run *run)
{
    if (run->gaps_s != NULL) {
        size_t index = run->clocks_started++;
        run->failure_left_s = index < run->gap_count ? run->gaps_s[index] : HUGE_VAL;
        return;
    }
    run->failure_left_s = run->pooled_rate_per_s > 0.0
                              ? random_exponential(&run->streams.failures) / run->pooled_rate_per_s
                              : HUGE_VAL;
}

void failures_pass(Run *run, double exposed_s)
{
    run->failure_left_s -= exposed_s;
    for (size_t i = 0; i < run->clock_count; i++)
        run->clocks[i].left_s -= exposed_s;
}

/* Of the clocks: the one that is due first; NULL when there is none before `before_s`. */
static const ClassClock *first_clock(const Run *run, bool training, double *before_s)
{
    const ClassClock *first = NULL;
    for (size_t i = 0; i < run->clock_count; i++) {
        const ClassClock *clock = &run->clocks[i];
        double left_s = clock->left_s;
        if (clock->calendar)
            left_s = training ? clock->at_s - run->now_s : HUGE_VAL;
        if (left_s < *before_s) {
            *before_s = left_s;
            first = clock;
        }
    }
    return first;
}

double failures_next_s(const Run *run, bool training)
{
    double next_s = run->failure_left_s;
    if (run->clock_count > 0)
        first_clock(run, training, &next_s);
    return most(0.0, next_s);
}

/* Which of the exponential classes it was, by their present rates. */
static size_t pooled_class(Run *run)
{
    const RunInput *input = run->input;
    size_t index = run->failures_met++;
    if (run->gaps_s != NULL)
        return run->gap_causes != NULL && input->class_count > 0
                   ? run->gap_causes[index] % input->class_count
                   : 0;
    if (input->class_count < 2)
        return 0;
    double factor = node_factor(run), last_rate = 0.0;
    double left = random_uniform(&run->streams.causes) * run->pooled_rate_per_s;
    size_t cause = 0;
    for (size_t i = 0; i < input->class_count; i++) {
        double rate = run->pooled[i] ? class_rate_per_s(run, i, factor) : 0.0;
        if (!(rate > 0.0))
            continue;
        cause = i;
        last_rate = rate;
        if (left < last_rate)
            break;
        left -= rate;
    }
    return cause;
}

size_t failures_take(Run *run, bool training)
{
    double due_s = run->failure_left_s;
    const ClassClock *first = run->clock_count > 0 ? first_clock(run, training, &due_s) : NULL;
    if (first == NULL) {
        run->failure_left_s = HUGE_VAL; /* until the clock is started again */
        return pooled_class(run);
    }
    size_t cause = first->class_index;
    set_clock(run, &run->clocks[first - run->clocks]);
    return cause;
}

void failures_skip(Run *run)
{
    for (size_t i = 0; i < run->clock_count; i++)
        while (run->clocks[i].calendar && run->clocks[i].at_s <= run->now_s &&
               run->events < RUN_MAX_EVENTS) {
            set_clock(run, &run->clocks[i]);
            run->events += 1.0;
        }
}

#include "sim/serving/iteration_time.h"

#include <math.h>
#include <string.h>

enum { FIRST_NODE = 16, NODES_PER_OCTAVE = 8 };

/* Node i of the grid: 0, 16, 18, ... 32, 36, ... */
static double node_context(size_t node)
{
    if (node == 0)
        return 0;
    const size_t past = node - 1;
    return ldexp(FIRST_NODE, (int)(past / NODES_PER_OCTAVE)) *
           (1 + (double)(past % NODES_PER_OCTAVE) / NODES_PER_OCTAVE);
}

/* The interval that holds `context`, by its lower node. */
static size_t interval_of(double context)
{
    if (context < FIRST_NODE)
        return 0;
    int exponent;
    const double mantissa = frexp(context / FIRST_NODE, &exponent); /* 0.5 <= mantissa < 1 */
    return 1 + (size_t)(exponent - 1) * NODES_PER_OCTAVE +
           (size_t)((2 * mantissa - 1) * NODES_PER_OCTAVE);
}

void iteration_time_init(IterationTime *time, StageCost *cost, const StageLayout *layout,
                         DraftCost *draft)
{
    time->cost = cost;
    time->layout = layout;
    time->draft = draft;
    time->decode = -1;
    time->drafts = 0;
    time->interval = SIZE_MAX;
}

static void fill(IterationTime *time, const PassLoad *load, double context, IterationNode *node)
{
    PassLoad at = *load;
    double stage_s;
    at.context = context;
    draft_cost_pipeline(time->draft, time->cost, time->layout, &at, &stage_s, &node->parts);
    node->context = context;
}

/* Nodes around the context of decoding alone, kept from the last time where they are the same. */
static void seek(IterationTime *time, const PassLoad *load)
{
    const size_t interval = interval_of(load->context);
    const int same = load->decode == time->decode && load->drafts == time->drafts;
    if (same && interval == time->interval)
        return;
    if (same && time->interval != SIZE_MAX && interval == time->interval + 1)
        time->low = time->high;
    else
        fill(time, load, node_context(interval), &time->low);
    fill(time, load, node_context(interval + 1), &time->high);
    time->decode = load->decode;
    time->drafts = load->drafts;
    time->interval = interval;
}

/* Adds `times` the parts of one iteration at `context`, which is between the nodes. */
static void add_parts(const IterationTime *time, double context, double times, ServeStageTime *sum)
{
    const IterationNode *a = &time->low, *b = &time->high;
    const double t = (context - a->context) / (b->context - a->context);
    stage_time_add(sum, &a->parts, times * (1 - t));
    stage_time_add(sum, &b->parts, times * t);
}

/* Whether the nodes serve. */
static int between_nodes(const IterationTime *time, const PassLoad *load)
{
    return load->decode > 0 && load->prefill <= 0 && load->draft_prefill <= 0 &&
           time->layout->stages == 1;
}

size_t iteration_stages(IterationTime *time, const PassLoad *load, double *stage_s,
                        ServeStageTime *slowest)
{
    if (!between_nodes(time, load))
        return draft_cost_pipeline(time->draft, time->cost, time->layout, load, stage_s, slowest);
    seek(time, load);
    memset(slowest, 0, sizeof *slowest);
    add_parts(time, load->context, 1, slowest);
    stage_s[0] = slowest->total_s;
    return 0;
}

double iteration_stage_s(IterationTime *time, size_t stage, const PassLoad *load)
{
    return draft_cost_stage_s(time->draft, time->cost, time->layout, stage, load);
}

/* k iterations of which the first takes `first_s` and each other `slope_s` more. */
static double sum_s(double first_s, double slope_s, double k)
{
    return k * first_s + slope_s * k * (k - 1) / 2;
}

/* The fewest iterations, at most `most`, that take at least limit_s. */
static uint64_t until(double first_s, double slope_s, double limit_s, uint64_t most)
{
    /* slope/2 k^2 + (first - slope/2) k = limit, in the form that does not cancel. */
    const double b = first_s - slope_s / 2;
    const double root = sqrt(b * b + 2 * slope_s * limit_s);
    double k = fmin((double)most, fmax(1, ceil(2 * limit_s / (b + root))));
    while (k > 1 && sum_s(first_s, slope_s, k - 1) >= limit_s)
        k--;
    while (k < (double)most && sum_s(first_s, slope_s, k) < limit_s)
        k++;
    return (uint64_t)k;
}

double iteration_run(IterationTime *time, const PassLoad *load, uint64_t repeats, double limit_s,
                     uint64_t *done, ServeStageTime *sum)
{
    PassLoad at = *load;
    double seconds = 0;
    *done = 0;
    while (*done < repeats && (seconds < limit_s || *done == 0)) {
        seek(time, &at);
        const IterationNode *a = &time->low, *b = &time->high;
        const double slope_s = (b->parts.total_s - a->parts.total_s) / (b->context - a->context);
        const double first_s = a->parts.total_s + (at.context - a->context) * slope_s;
        /* Iterations whose context is still within this interval. */
        const uint64_t inside = (uint64_t)fmax(1, ceil(b->context - at.context));
        uint64_t most = repeats - *done < inside ? repeats - *done : inside;
        if (seconds + sum_s(first_s, slope_s, (double)most) >= limit_s)
            most = until(first_s, slope_s, limit_s - seconds, most);
        seconds += sum_s(first_s, slope_s, (double)most);
        add_parts(time, at.context + ((double)most - 1) / 2, (double)most, sum);
        *done += most;
        at.context += (double)most;
    }
    return seconds;
}

#include "sim/training/paced.h"

#include <math.h>

/* The longest path through the tasks of 1F1B, p stages, m microbatches, send time s.
 *
 * Let round r hold forward r of every stage and the backward that follows it there, c = f + b, and
 * P(j) = f_0 + .. + f_j + j s. A path is at some stage x_r in each round: after backward x_r it
 * goes on to any forward of a stage that is no lower, or down one stage with a send. Adding up, a
 * path from round to round gains c of each stage that it is at and 2 s for each step down, besides
 * ends that telescope into P. Rounds before a stage's first backward hold forwards only, those
 * after its last forward backwards only:
 *
 *   end of stage i = max over z, x, j >= i of
 *     (p - 1 - z) max(f_0 .. f_z)                                  forwards, before the first turn
 *     + sum over m - (p - 1 - z) rounds of c_x + 2 s [a step down]      from a stage >= z to stage
 * j
 *     + P(j) - f_j + sum of (b_l + s) over i <= l < j                         the way up and down
 *     + (p - 1 - j) max(b_i .. b_j)                                  backwards, after the last turn
 *
 * Let a be the last of the stages with the largest c, and d_x = c_x + 2 s - c_a. A run of rounds
 * from stage h down to stage l gains (d_l + .. + d_h) - 2 s over c_a a round. Where no run gains
 * more than nothing, the best path comes down to a as soon as that pays, stays there and goes up to
 * the last stage at the end:
 *
 *   P(p - 1) - f_{p-1} + m c_a + c_{p-1} - c_a + (sum of (b_l + s) over l >= i)
 *     + max over h >= a of (p - 1 - h)(max(f_0 .. f_h) - c_a) + d_{a+1} + .. + d_h
 *
 * where the path ends its rounds on stage j = p - 1; one that ends them on another stage j >= a has
 * the best run down to j in place of c_{p-1} - c_a, and the terms of j. Ending on a stage below a,
 * never coming down to a, and m too small for all that are ruled out by bounds on what such paths
 * gain. */

static double larger(double one, double other)
{
    return one > other ? one : other;
}

typedef struct Pace {
    size_t stage; /* a */
    double round_s;
    double other_s; /* the largest c behind a */
} Pace;

static double forward_s(const TaskTime *times, size_t stage)
{
    return times[2 * stage + TASK_FORWARD].total_s;
}

static double backward_s(const TaskTime *times, size_t stage)
{
    return times[2 * stage + TASK_BACKWARD].total_s;
}

static Pace find_pace(const TaskTime *times, size_t stages)
{
    Pace pace = {0};
    for (size_t i = 0; i < stages; i++) {
        const double round_s = forward_s(times, i) + backward_s(times, i);
        if (round_s >= pace.round_s)
            pace = (Pace){.stage = i, .round_s = round_s};
        else
            pace.other_s = larger(pace.other_s, round_s);
    }
    return pace;
}

/* runs[l]: the most that a run down to stage l gains. False when one gains more than nothing. */
static bool fill_runs(const TaskTime *times, size_t stages, const Pace *pace, double send_s,
                      double *runs)
{
    double sum_s = 0.0;
    for (size_t i = stages; i-- > 0;) {
        /* with d_a = 2 s to the last bit */
        const double lost_s = pace->round_s - (forward_s(times, i) + backward_s(times, i));
        sum_s = larger(0.0, sum_s) + 2.0 * send_s - lost_s;
        runs[i] = sum_s - 2.0 * send_s;
        if (runs[i] > 0.0)
            return false;
    }
    return true;
}

/* The best way to the pace: stage h is where the path turns first. */
static double approach_s(const TaskTime *times, size_t stages, const Pace *pace, double send_s)
{
    double most_s = 0.0, down_s = 0.0, best_s = -HUGE_VAL;
    for (size_t i = 0; i < stages; i++) {
        most_s = larger(most_s, forward_s(times, i));
        if (i < pace->stage)
            continue;
        if (i > pace->stage)
            down_s += 2.0 * send_s - (pace->round_s - (forward_s(times, i) + backward_s(times, i)));
        best_s = larger(best_s, (double)(stages - 1 - i) * (most_s - pace->round_s) + down_s);
    }
    return best_s;
}

/* Stages on which the rounds of a path may end, besides the last one. */
enum { MOST_TURNS = 8 };
typedef struct Turn {
    size_t stage;
    double gain_s; /* over a path to the last stage, but for the backwards after the last turn */
} Turn;

typedef struct Turns {
    size_t count;
    Turn turns[MOST_TURNS];
} Turns;

/* Finds those from a on that may do better than the last stage. False when there are many, or when
 * one below a may do better than both the last stage and a. */
static bool find_turns(const TaskTime *times, size_t stages, const Pace *pace, double send_s,
                       const double *runs, Turns *turns)
{
    double both_ways_s = 0.0, to_pace_s = 0.0, before_s = 0.0, most_s = 0.0;
    for (size_t i = 0; i + 1 < stages; i++) {
        if (i == pace->stage)
            to_pace_s = both_ways_s;
        both_ways_s += forward_s(times, i) + backward_s(times, i) + 2.0 * send_s;
    }
    const size_t last = stages - 1;
    if (pace->stage == last)
        to_pace_s = both_ways_s;
    const double turn_s = forward_s(times, last) + backward_s(times, last) - pace->round_s;
    turns->count = 0;
    for (size_t j = 0; j < last; j++) {
        most_s = larger(most_s, backward_s(times, j));
        const double gain_s = runs[j] - (both_ways_s - before_s + turn_s);
        if (gain_s + (double)(last - j) * most_s > 0.0) {
            if (j < pace->stage &&
                runs[j] + (double)(pace->stage - j) * most_s > to_pace_s - before_s)
                return false;
            if (j >= pace->stage && turns->count == MOST_TURNS)
                return false;
            if (j >= pace->stage)
                turns->turns[turns->count++] = (Turn){.stage = j, .gain_s = gain_s};
        }
        before_s += forward_s(times, j) + backward_s(times, j) + 2.0 * send_s;
    }
    return true;
}

/* What the end of stage i gains by the best of the turns; most_s[j]: the longest backward from i to
 * the stage of turn j, i falling. */
static double best_gain_s(const Turns *turns, const TaskTime *times, size_t stages, size_t i,
                          double most_s[MOST_TURNS])
{
    double best_s = 0.0;
    for (size_t j = 0; j < turns->count; j++) {
        const Turn *turn = &turns->turns[j];
        if (i > turn->stage)
            continue;
        most_s[j] = larger(most_s[j], backward_s(times, i));
        best_s = larger(best_s, turn->gain_s + (double)(stages - 1 - turn->stage) * most_s[j]);
    }
    return best_s;
}

bool paced_1f1b_ends(const ScheduleShape *shape, const TaskTime *times, double send_s,
                     double *scratch, ChunkEnd *ends)
{
    const size_t p = shape->stages, last = p - 1;
    const double m = (double)shape->rounds;
    const Pace pace = find_pace(times, p);
    const double behind = (double)(last - pace.stage);
    if (pace.stage < last && m < behind + 2.0)
        return false;
    Turns turns;
    if (!fill_runs(times, p, &pace, send_s, scratch) ||
        !find_turns(times, p, &pace, send_s, scratch, &turns) ||
        (turns.count > 0 && m < 2.0 * behind + 2.0)) /* down to a, and another run at the end */
        return false;
    const double approach = approach_s(times, p, &pace, send_s);
    /* paths that never come down to a: each round but those of their last run loses this much */
    const double lost_s = pace.round_s - (pace.other_s + 2.0 * send_s);
    if (pace.stage < last && approach < -lost_s * larger(0.0, m - 2.0 * behind))
        return false;

    double up_s = 0.0;
    for (size_t i = 0; i < last; i++)
        up_s += forward_s(times, i) + send_s;
    double end_s = up_s + m * pace.round_s + approach +
                   (forward_s(times, last) + backward_s(times, last) - pace.round_s);
    double most_s[MOST_TURNS] = {0};
    for (size_t i = p; i-- > 0;) {
        const double taken_s = backward_s(times, i);
        if (i < last)
            end_s += taken_s + send_s;
        const double later_s = end_s + best_gain_s(&turns, times, p, i, most_s);
        ends[i] = (ChunkEnd){.first_gradient_s = later_s - taken_s, .end_s = later_s};
    }
    return true;
}

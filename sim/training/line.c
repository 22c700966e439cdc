#include "sim/training/line.h"

#include "sim/training/paced.h"
#include "sim/training/wave.h"

#include <math.h>

/* `fmax` without its care for what is not a number. */
static inline double later(double one, double other)
{
    return one > other ? one : other;
}

bool line_knows(const ScheduleShape *shape)
{
    return shape->schedule == SCHEDULE_GPIPE || wave_knows(shape);
}

size_t line_scratch(const ScheduleShape *shape)
{
    return wave_scratch(shape);
}

/* ---- closed forms: one chunk, times [stage][2] ---- */

static double forward_s(const Line *line, size_t stage)
{
    return line->times[2 * stage + TASK_FORWARD].total_s;
}

static double backward_s(const Line *line, size_t stage)
{
    return line->times[2 * stage + TASK_BACKWARD].total_s;
}

static void set_end(const Line *line, size_t stage, double end_s)
{
    line->ends.chunk[stage] =
        (ChunkEnd){.first_gradient_s = end_s - backward_s(line, stage), .end_s = end_s};
}

/* A flow shop with m equal jobs on stages in a row ends stage i at (sum up to i) + (m - 1) (max up
 * to i), sends aside: forwards up the stages, then, when the last one is through with them,
 * backwards down. By then every stage has long finished its forwards. */
static void gpipe_ends(const Line *line, double send_s)
{
    size_t stages = line->shape->stages;
    double again = (double)line->shape->rounds - 1.0, sum_s = 0.0, most_s = 0.0;
    for (size_t i = 0; i < stages; i++) {
        sum_s += forward_s(line, i) + (i > 0 ? send_s : 0.0);
        most_s = later(most_s, forward_s(line, i));
    }
    double turn_s = sum_s + again * most_s;
    sum_s = most_s = 0.0;
    for (size_t i = stages; i-- > 0;) {
        sum_s += backward_s(line, i) + (i + 1 < stages ? send_s : 0.0);
        most_s = later(most_s, backward_s(line, i));
        set_end(line, i, turn_s + sum_s + again * most_s);
    }
}

static bool equal_stages(const Line *line)
{
    for (size_t i = 1; i < line->shape->stages; i++)
        if (line->times[2 * i].total_s != line->times[0].total_s ||
            line->times[2 * i + 1].total_s != line->times[1].total_s)
            return false;
    return true;
}

/* Equal stages: the longest path computes (m + p - 1)(f + b). A microbatch that turns round at the
 * last stage and comes back d stages meets the forward of the microbatch d + 1 behind it there, so
 * each d + 1 microbatches of the path may hold 2 d sends, d at most p - 1: beside the first way up
 * and the last way down m - 1 - ceil((m - 1) / p) pairs of sends. The last microbatch then goes
 * down without waiting. */
static void equal_1f1b_ends(const Line *line, double send_s)
{
    double m = (double)line->shape->rounds, p = (double)line->shape->stages;
    double pairs = p - 1.0 + (m - 1.0) - ceil((m - 1.0) / p);
    double end_s =
        (m + p - 1.0) * (forward_s(line, 0) + backward_s(line, 0)) + 2.0 * send_s * pairs;
    for (size_t i = 0; i < line->shape->stages; i++)
        set_end(line, i, end_s - (double)i * (backward_s(line, 0) + send_s));
}

/* ---- any of them ---- */

/* The first microbatch finds every stage free. */
static void fill_starts(const Line *line, double send_s)
{
    const ScheduleShape *shape = line->shape;
    double start_s = 0.0;
    for (size_t i = 0; i < shape->stages; i++) {
        line->ends.first_start_s[i] = start_s;
        start_s =
            start_s + line->times[i * shape->chunks * shape->kinds + TASK_FORWARD].total_s + send_s;
    }
}

void line_run(const Line *line, double send_s)
{
    const Wave wave = {
        .shape = line->shape, .times = line->times, .send_s = send_s, .scratch = line->scratch};
    fill_starts(line, send_s);
    const PipelineSchedule schedule = line->shape->schedule;
    if (schedule == SCHEDULE_GPIPE)
        gpipe_ends(line, send_s);
    else if (schedule == SCHEDULE_1F1B && equal_stages(line))
        equal_1f1b_ends(line, send_s);
    else if (schedule != SCHEDULE_1F1B ||
             !paced_1f1b_ends(line->shape, line->times, send_s, line->scratch, line->ends.chunk))
        wave_run(&wave, line->ends.chunk);
}

bool line_has_ideal(const ScheduleShape *shape)
{
    return shape->schedule == SCHEDULE_GPIPE || shape->schedule == SCHEDULE_1F1B;
}

static double mean_round_s(const Line *line)
{
    const ScheduleShape *shape = line->shape;
    const double stages = (double)shape->stages;
    const size_t per_stage = shape->chunks * shape->kinds;
    double one_s = 0.0;
    for (size_t i = 0; i < shape->stages; i++) {
        const TaskTime *times = line->times + i * per_stage;
        double stage_s = times[0].total_s;
        for (size_t j = 1; j < per_stage; j++)
            stage_s += times[j].total_s;
        one_s += stage_s / stages;
    }
    return one_s;
}

double line_work_s(const Line *line)
{
    return mean_round_s(line) * (double)line->shape->rounds;
}

double line_ideal_s(const Line *line)
{
    return mean_round_s(line) * ((double)line->shape->rounds + (double)line->shape->stages - 1.0);
}

#include "models/course.h"

#include "models/plan_check.h"

#include <math.h>

static double batch_of(const Scenario *scenario, const CoursePhase *phase)
{
    return phase->batch_tokens > 0 ? phase->batch_tokens : scenario->training.batch_tokens;
}

/* A ramp's sizes lie evenly between its ends, both included. */
static size_t add_ramp(const Scenario *scenario, size_t index, CoursePart *parts, size_t count)
{
    const CoursePhase *phase = &scenario->course[index];
    const double to = batch_of(scenario, phase), stages = fmax(1, phase->batch_stages);
    for (double i = 0; i < stages && count < MAX_COURSE_PARTS; i++)
        parts[count++] = (CoursePart){
            .phase = index,
            .batch_tokens =
                stages > 1 ? phase->batch_from + (to - phase->batch_from) * i / (stages - 1) : to,
            .share = 1 / stages};
    return count;
}

size_t course_parts(const Scenario *scenario, CoursePart parts[MAX_COURSE_PARTS])
{
    size_t count = 0;
    if (scenario->course_count == 0) {
        parts[0] = (CoursePart){.share = 1};
        return 1;
    }
    for (size_t i = 0; i < scenario->course_count && count < MAX_COURSE_PARTS; i++) {
        if (scenario->course[i].batch_from > 0)
            count = add_ramp(scenario, i, parts, count);
        else
            parts[count++] = (CoursePart){.phase = i, .share = 1};
    }
    return count;
}

static void override(double *value, double by)
{
    if (by > 0)
        *value = by;
}

void course_apply(const Scenario *scenario, const CoursePart *part, Scenario *out)
{
    static const Recompute recompute[] = {[PHASE_RECOMPUTE_NONE] = RECOMPUTE_NONE,
                                          [PHASE_RECOMPUTE_SELECTIVE] = RECOMPUTE_SELECTIVE,
                                          [PHASE_RECOMPUTE_FULL] = RECOMPUTE_FULL};
    const int has_course = scenario->course_count > 0 && part->phase < MAX_COURSE_PHASES;
    if (out != scenario)
        *out = *scenario;
    out->course_count = 0;
    if (!has_course)
        return;
    const CoursePhase *phase = &out->course[part->phase];
    TrainingSpec *training = &out->training;
    ParallelSpec *parallel = &training->parallel;
    override(&training->batch_tokens, phase->batch_tokens);
    override(&training->batch_tokens, part->batch_tokens);
    override(&training->sequence_length, phase->sequence_length);
    override(&parallel->micro_batch, phase->micro_batch);
    override(&parallel->tensor, phase->tensor);
    override(&parallel->context, phase->context);
    override(&parallel->pipeline, phase->pipeline);
    override(&parallel->data, phase->data);
    override(&out->hardware.older_stages, phase->older_stages);
    override(&out->hardware.older_layers, phase->older_layers);
    override(&out->hardware.older_replicas, phase->older_replicas);
    if (phase->recompute != PHASE_RECOMPUTE_AS_BASE)
        parallel->recompute = recompute[phase->recompute];
    if (phase->vision == PHASE_VISION_OFF)
        out->model.vision = (VisionSpec){0};
    out->hardware.gpus = plan_gpus(parallel);
}

double course_rest_tokens(const Scenario *scenario)
{
    double rest = scenario->training.tokens;
    for (size_t i = 0; i < scenario->course_count; i++)
        rest -= scenario->course[i].tokens;
    return fmax(0, rest);
}

CoursePart course_main(const Scenario *scenario)
{
    CoursePart parts[MAX_COURSE_PARTS], best = {.share = 1};
    const size_t count = course_parts(scenario, parts);
    double most = -1;
    for (size_t i = 0; i < count && scenario->course_count > 0; i++) {
        const CoursePhase *phase = &scenario->course[parts[i].phase];
        const double all = phase->tokens > 0 ? phase->tokens : course_rest_tokens(scenario);
        if (parts[i].share * all >= most) {
            most = parts[i].share * all;
            best = parts[i];
        }
    }
    return best;
}

Status course_check(const Scenario *scenario, Error *error)
{
    const double tolerance = 1e-9;
    double given = 0, parts = 0, last_s = 0;
    size_t open = 0;
    for (size_t i = 0; i < scenario->course_count; i++) {
        const CoursePhase *phase = &scenario->course[i];
        const int dated = phase->until_s > 0;
        given += phase->tokens;
        parts += phase->batch_from > 0 ? fmax(1, phase->batch_stages) : 1;
        open += !(phase->tokens > 0) && !dated;
        if (dated && phase->tokens > 0)
            return error_set(error, STATUS_INVALID,
                             "course: phase '%s' has both tokens and a date (until)", phase->name);
        if (dated && (open > 0 || phase->until_s <= last_s))
            return error_set(error, STATUS_INVALID,
                             "course: the date of phase '%s' must come after those before it, and "
                             "before the phase that takes the rest of the tokens",
                             phase->name);
        if (dated && phase->batch_from > 0)
            return error_set(error, STATUS_INVALID,
                             "course: phase '%s' has a ramp, which goes by tokens, and a date",
                             phase->name);
        if (phase->batch_from > batch_of(scenario, phase))
            return error_set(error, STATUS_INVALID,
                             "course: the ramp of phase '%s' begins with %.10g tokens, above its "
                             "batch of %.10g",
                             phase->name, phase->batch_from, batch_of(scenario, phase));
        last_s = dated ? phase->until_s : last_s;
    }
    if (scenario->course_count == 0)
        return STATUS_OK;
    if (parts > MAX_COURSE_PARTS)
        return error_set(error, STATUS_INVALID, "course: %g batch sizes are more than %d", parts,
                         MAX_COURSE_PARTS);
    const double all = scenario->training.tokens;
    if (open > 1)
        return error_set(error, STATUS_INVALID,
                         "course: %zu phases have neither tokens nor a date; one may take the rest",
                         open);
    if (given > all * (1 + tolerance) || (open == 0 && given < all * (1 - tolerance))) {
        error_set(error, STATUS_INVALID,
                  "course: its phases have %.10g tokens of training.tokens = %.10g", given, all);
        error_hint(error, "leave out the tokens of one phase: it takes the rest");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* Failures, saves and restarts: each model as an input of the run simulator. */
#include "sim/training/reliability_process.h"

#include <math.h>
#include <stdlib.h>

#define VALUE(name) reliability_value(draw->input, name)

/* What a run of equal saved segments is made of. */
typedef struct Segments {
    double mtbf_s, tau_s, delta_s, down_s, restart_s;
    RestartClock clock;
} Segments;

static const double MOST_SEGMENTS = 1e9;

/* Work that ends with a save: a last piece, not saved itself, that is too short to matter. */
static const double LAST_PIECE = 1e-6;

static RunInput run_of(const Segments *segments)
{
    return (RunInput){
        .phase_count = 1,
        .phases = {{.step_s = segments->tau_s,
                    .nodes = 1.0,
                    .interval_s = segments->tau_s,
                    .init_s = segments->restart_s,
                    .class_rate_per_s = {1.0 / segments->mtbf_s}}},
        .class_count = 1,
        .restart_clock = segments->clock,
        .replacement_s = segments->down_s,
        .saves = {.stall_s = segments->delta_s},
    };
}

static Status run_for(const ReliabilityReplication *draw, RunInput *input, double useful_s,
                      RunOutcome *outcome, Error *error)
{
    input->phases[0].useful_s = useful_s;
    return run_simulate(draw->simulator, input, draw->seed, draw->replication, outcome, error);
}

Status process_between(const ReliabilityReplication *draw, const RunInput *input, double first_s,
                       double last_s, ReliabilitySums *sums, RunOutcome *first, RunOutcome *last,
                       Error *error)
{
    RunInput lengths = *input;
    RunOutcome outcomes[2] = {0};
    first = first != NULL ? first : &outcomes[0];
    last = last != NULL ? last : &outcomes[1];
    Status status = run_for(draw, &lengths, first_s, first, error);
    if (status == STATUS_OK)
        status = run_for(draw, &lengths, last_s, last, error);
    *sums = (ReliabilitySums){.a = last_s - first_s, .b = last->wall_s - first->wall_s};
    return status;
}

/* Failures that a saved segment meets on average. */
static double failures_per_segment(const Segments *segments)
{
    double exposed_s = segments->clock == RESTART_EXPOSED ? segments->restart_s : 0.0;
    return exp(exposed_s / segments->mtbf_s) *
           expm1((segments->tau_s + segments->delta_s) / segments->mtbf_s);
}

/* ETTR: over as many segments as about draw->events failures allow. */
static Status run_segments(const ReliabilityReplication *draw, const Segments *segments,
                           const RunInput *input, ReliabilitySums *sums, Error *error)
{
    const double beginning = 0.1; /* of the run: until it has forgotten its start */
    double count = fmin(MOST_SEGMENTS, floor(draw->events / failures_per_segment(segments)));
    if (!(count >= 1.0)) {
        double ettr = segments->tau_s /
                      ((segments->mtbf_s + segments->down_s) * failures_per_segment(segments));
        return error_set(error, STATUS_NO,
                         "expected goodput %.1g: %.3g s between failures, %.3g s work and save, "
                         "%.3g s restart",
                         ettr, segments->mtbf_s, segments->tau_s + segments->delta_s,
                         segments->restart_s);
    }
    double first = floor(beginning * count) + LAST_PIECE;
    return process_between(draw, input, first * segments->tau_s, (first + count) * segments->tau_s,
                           sums, NULL, NULL, error);
}

static Segments segments_of(const ReliabilityReplication *draw, RestartClock clock)
{
    return (Segments){.mtbf_s = VALUE("M"),
                      .tau_s = VALUE("tau"),
                      .delta_s = VALUE("delta"),
                      .down_s = VALUE("D"),
                      .restart_s = VALUE("R"),
                      .clock = clock};
}

PROCESS(process_run_exposed)
{
    Segments segments = segments_of(draw, RESTART_EXPOSED);
    RunInput input = run_of(&segments);
    return run_segments(draw, &segments, &input, sums, error);
}

PROCESS(process_run_safe)
{
    Segments segments = segments_of(draw, RESTART_SAFE);
    RunInput input = run_of(&segments);
    return run_segments(draw, &segments, &input, sums, error);
}

PROCESS(process_run_wall_clock)
{
    Segments segments = {.mtbf_s = VALUE("M_wall") - VALUE("down"),
                         .tau_s = VALUE("tau"),
                         .delta_s = VALUE("delta"),
                         .down_s = VALUE("down"),
                         .clock = RESTART_SAFE};
    RunInput input = run_of(&segments);
    return run_segments(draw, &segments, &input, sums, error);
}

PROCESS(process_run_no_notice)
{
    Segments segments = {.mtbf_s = VALUE("M"),
                         .tau_s = VALUE("tau"),
                         .delta_s = VALUE("delta"),
                         .down_s = VALUE("gap"),
                         .clock = RESTART_SAFE};
    RunInput input = run_of(&segments);
    return run_segments(draw, &segments, &input, sums, error);
}

PROCESS(process_run_notice)
{
    /* The gap begins with the notice, so the save that it allows is a part of the gap. */
    if (VALUE("gap") < VALUE("delta"))
        return error_set(error, STATUS_NO, "the gap is shorter than the save that begins it");
    Segments segments = {.mtbf_s = VALUE("M"),
                         .tau_s = VALUE("tau"),
                         .delta_s = VALUE("delta"),
                         .down_s = VALUE("gap") - VALUE("delta"),
                         .clock = RESTART_SAFE};
    RunInput input = run_of(&segments);
    input.classes[0].notice_s = fmax(segments.delta_s, segments.tau_s);
    double useful_s = draw->events * segments.mtbf_s; /* nothing is lost: about one failure per M */
    return process_between(draw, &input, 0.1 * useful_s, 1.1 * useful_s, sums, NULL, NULL, error);
}

/* ---- causes ------------------------------------------------------------------------------------
 */

PROCESS(process_run_detection)
{
    Segments segments = segments_of(draw, RESTART_SAFE);
    RunInput input = run_of(&segments);
    input.classes[0].detection_count = 2;
    input.classes[0].detection_share[0] = 1.0 - VALUE("hang_fraction");
    input.classes[0].detection_share[1] = VALUE("hang_fraction");
    input.classes[0].detection_s[0] = VALUE("detect_fast");
    input.classes[0].detection_s[1] = VALUE("detect_hang");
    return run_segments(draw, &segments, &input, sums, error);
}

double reliability_mix_rate_per_s(const FailureMix *mix, double gpus,
                                  double rates_per_s[RELIABILITY_MAX_LIST])
{
    double sum = 0.0;
    for (size_t i = 0; i < mix->count; i++) {
        const FailureMixClass *class = &mix->classes[i];
        double rate_per_s = ceil(gpus / class->gpus_per_unit) * class->rate_per_unit_s;
        if (rates_per_s != NULL)
            rates_per_s[i] = rate_per_s;
        sum += rate_per_s;
    }
    return sum;
}

_Static_assert((int)MAX_FAILURE_CLASSES >= (int)RELIABILITY_MAX_LIST, "a mix fits into a run");

static Segments mix_run(const ReliabilityReplication *draw, RunInput *input)
{
    const FailureMix *mix = draw->input->mix;
    double rates_per_s[RELIABILITY_MAX_LIST];
    double rate_per_s = reliability_mix_rate_per_s(mix, VALUE("n_gpu"), rates_per_s);
    Segments segments = {.mtbf_s = 1.0 / rate_per_s,
                         .tau_s = VALUE("tau"),
                         .delta_s = VALUE("delta"),
                         .restart_s = VALUE("R"),
                         .clock = RESTART_SAFE};
    if (!(segments.tau_s > 0.0)) /* only failures are asked for */
        segments.tau_s = segments.mtbf_s;
    *input = run_of(&segments);
    input->class_count = mix->count;
    for (size_t i = 0; i < mix->count; i++) {
        input->phases[0].class_rate_per_s[i] = rates_per_s[i];
        input->classes[i].detection_count = 1;
        input->classes[i].detection_s[0] = i < draw->input->list_count ? draw->input->list[i] : 0.0;
    }
    return segments;
}

PROCESS(process_run_classes)
{
    RunInput input;
    Segments segments = mix_run(draw, &input);
    return run_segments(draw, &segments, &input, sums, error);
}

/* Time on the run clock over failures. */
PROCESS(process_run_failures)
{
    RunInput input;
    RunOutcome outcome = {0};
    Segments segments = mix_run(draw, &input);
    double useful_s = draw->events * segments.tau_s;
    Status status = run_for(draw, &input, useful_s, &outcome, error);
    *sums = (ReliabilitySums){.a = outcome.ledger.useful_s + outcome.ledger.lost_work_s +
                                   outcome.ledger.save_s,
                              .b = outcome.failures};
    return status;
}

/* ---- runs of a given length --------------------------------------------------------------------
 */

/* A replication is several runs: a spread needs hundreds of them. */
static Status run_finite(const ReliabilityReplication *draw, RestartClock clock,
                         ReliabilitySums *sums, Error *error)
{
    const double least_runs = 4.0, most_runs = 20.0, most_failures = 2e7;
    Segments segments = segments_of(draw, clock);
    double failures = VALUE("segments") * failures_per_segment(&segments);
    double runs = floor(fmin(most_runs, fmax(least_runs, draw->events / failures)));
    if (!process_can_spend(draw, runs * failures, most_failures))
        return error_set(error, STATUS_NO, "runs of %.3g failures are too long to repeat",
                         failures);
    RunInput input = run_of(&segments);
    double useful_s = (VALUE("segments") + LAST_PIECE) * segments.tau_s;
    ReliabilityReplication one = *draw;
    Status status = STATUS_OK;
    *sums = (ReliabilitySums){0};
    for (double i = 0.0; i < runs && status == STATUS_OK; i += 1.0) {
        RunOutcome outcome = {0};
        one.replication = (unsigned long long)(runs * (double)draw->replication + i);
        status = run_for(&one, &input, useful_s, &outcome, error);
        sums->a += outcome.wall_s;
        sums->b += 1.0;
        sums->c += outcome.wall_s * outcome.wall_s;
    }
    return status;
}

PROCESS(process_run_finite_exposed)
{
    return run_finite(draw, RESTART_EXPOSED, sums, error);
}

PROCESS(process_run_finite_safe)
{
    return run_finite(draw, RESTART_SAFE, sums, error);
}

/* ---- failures by other laws, asynchronous saves ------------------------------------------------
 */

/* One class with a law of its own, whose clock starts anew at its failures. */
PROCESS(process_run_renewal)
{
    RenewalCase renewal = renewal_case(draw->input);
    Segments segments = {.mtbf_s = renewal.law.mean,
                         .tau_s = renewal.tau_s,
                         .delta_s = renewal.delta_s,
                         .restart_s = renewal.restart_s,
                         .clock = RESTART_SAFE};
    RunInput input = run_of(&segments);
    input.saves.durable_s = renewal.persist_s;
    input.classes[0].law = renewal.law.kind;
    input.classes[0].shape = renewal.law.shape;
    double ettr = reliability_ettr_renewal(&renewal.law, renewal.tau_s, renewal.delta_s,
                                           renewal.persist_s, renewal.restart_s);
    double cycle_s = renewal.law.mean + renewal.restart_s;
    double count = fmin(MOST_SEGMENTS, floor(draw->events * ettr * cycle_s / renewal.tau_s));
    if (!(count >= 1.0))
        return error_set(error, STATUS_NO,
                         "expected goodput %.1g: %.3g s between failures, %.3g s work and save",
                         ettr, renewal.law.mean, renewal.tau_s + renewal.delta_s);
    const double beginning = 0.1;
    double first = floor(beginning * count) + LAST_PIECE;
    return process_between(draw, &input, first * renewal.tau_s, (first + count) * renewal.tau_s,
                           sums, NULL, NULL, error);
}

/* ---- two levels, going back --------------------------------------------------------------------
 */

PROCESS(process_run_two_level)
{
    TwoLevel levels = two_level_case(draw->input);
    Segments segments = {.mtbf_s = levels.mtbf_s,
                         .tau_s = levels.tau_s,
                         .delta_s = levels.block2_s,
                         .clock = RESTART_SAFE};
    RunInput input = run_of(&segments);
    input.classes[0].memory_share = levels.level1_share;
    input.saves.load_s = levels.restart2_s;
    input.saves.in_memory = 1;
    input.saves.memory_every = levels.segments;
    input.saves.memory_stall_s = levels.block1_s;
    input.saves.memory_load_s = levels.restart1_s;

    double useful_s = levels.segments * levels.tau_s; /* of a cycle, from one level-2 save on */
    double ettr = reliability_ettr_two_level(&levels);
    double failures = useful_s / ettr / levels.mtbf_s; /* at most */
    double cycles = fmin(MOST_SEGMENTS / levels.segments, floor(draw->events / failures));
    if (!(cycles >= 1.0))
        return error_set(error, STATUS_NO, "expected goodput %.1g: too few level-2 saves", ettr);
    double first = floor(0.1 * cycles) * useful_s + LAST_PIECE * levels.tau_s;
    return process_between(draw, &input, first, first + cycles * useful_s, sums, NULL, NULL, error);
}

/* Spikes that are drawn at every new step come after a geometric number of steps; the simulator
 * draws an exponential one and rounds up, so its rate is -ln(1 - h). */
PROCESS(process_run_loss_spike)
{
    const double most_rate = 50.0; /* h = 1: every step */
    LossSpike spike = loss_spike_case(draw->input);
    double cycle_s = spike.save_every_steps * spike.step_s;
    /* With nowhere to go back, the formula takes a save at the very step that spikes for good and
     * the simulator does not: 0 .. ck - 1 or 1 .. ck steps lost. The step between is taken off the
     * lag. */
    double counted_twice = spike.back_steps > 0.0 ? 0.0 : 1.0;
    if (spike.detect_steps < counted_twice)
        return error_set(error, STATUS_NO, "a spike is not seen before its step has ended");
    RunInput input = {
        .phase_count = 1,
        .phases = {{.step_s = spike.step_s, .nodes = 1.0, .interval_s = cycle_s}},
        .restart_clock = RESTART_SAFE,
        .saves = {.stall_s = spike.save_s, .load_s = spike.restart_s},
        .spikes = {.rate_per_step = fmin(most_rate, -log1p(-spike.rate_per_step)),
                   .lag_steps = spike.detect_steps - counted_twice,
                   .back_steps = spike.back_steps},
    };
    double saves = ceil(draw->events / spike.rate_per_step / spike.save_every_steps);
    double first = ceil(spike.back_steps / spike.save_every_steps) + ceil(0.1 * saves);
    return process_between(draw, &input, (first + LAST_PIECE) * cycle_s,
                           (first + saves + LAST_PIECE) * cycle_s, sums, NULL, NULL, error);
}

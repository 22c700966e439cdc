/* Inputs that cannot be simulated, and runs that would never finish. */
#include "sim/training/run_state.h"

#include "configs/reader/units.h"

#include <math.h>
#include <stdio.h>

typedef struct NamedTime {
    const char *name;
    double value;
} NamedTime;

static Status check_times(const NamedTime *times, size_t count, Error *error)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(times[i].value) || times[i].value < 0.0)
            return error_set(error, STATUS_INVALID, "a run needs a finite %s of at least 0, not %g",
                             times[i].name, times[i].value);
    return STATUS_OK;
}
#define TIMES(...)                                                                                 \
    ((NamedTime[]){__VA_ARGS__}), sizeof((NamedTime[]){__VA_ARGS__}) / sizeof(NamedTime)

static Status check_phase(const RunInput *input, const RunPhase *phase, Error *error)
{
    if (!(phase->useful_s > 0.0) || !isfinite(phase->useful_s) ||
        !(run_interval_in_steps(phase) > 0.0))
        return error_set(error, STATUS_INVALID,
                         "a run needs work and an interval between saves above 0");
    for (size_t i = 0; i < input->class_count; i++)
        if (!isfinite(phase->class_rate_per_s[i]) || !(phase->class_rate_per_s[i] >= 0.0))
            return error_set(error, STATUS_INVALID, "failure class %zu: a rate of %g per second", i,
                             phase->class_rate_per_s[i]);
    return check_times(TIMES({"pause", phase->pause_s}, {"initialisation", phase->init_s},
                             {"number of nodes", phase->nodes}),
                       error);
}

static bool is_law(Law law)
{
    bool shaped = law.kind == LAW_WEIBULL || law.kind == LAW_GAMMA || law.kind == LAW_LOGNORMAL;
    return isfinite(law.mean) && law.mean >= 0.0 &&
           (!shaped || (isfinite(law.shape) && law.shape > 0.0 && law_sampler(law).scale >= 0.0));
}

static bool is_probability(double value)
{
    return value >= 0.0 && value <= 1.0;
}

static Status check_class(const RunClass *class, size_t index, Error *error)
{
    double shares = 0.0;
    if (class->detection_count > MAX_DETECTIONS)
        return error_set(error, STATUS_INVALID, "failure class %zu: more than %d detection times",
                         index, MAX_DETECTIONS);
    for (size_t i = 0; i < class->detection_count; i++) {
        if (!isfinite(class->detection_s[i]) || !(class->detection_s[i] >= 0.0))
            return error_set(error, STATUS_INVALID, "failure class %zu: detection takes %g s",
                             index, class->detection_s[i]);
        shares += class->detection_share[i];
    }
    const double rounding = 1e-6;
    if (class->detection_count > 1 && !(fabs(shares - 1.0) < rounding))
        return error_set(error, STATUS_INVALID,
                         "failure class %zu: the shares of its detection times sum to %g, not 1",
                         index, shares);
    if (!is_probability(class->process_restart) || !is_probability(class->memory_share))
        return error_set(error, STATUS_INVALID,
                         "failure class %zu: a probability is not between 0 and 1", index);
    if (!(class->notice_s >= 0.0) || !is_law((Law){class->law, 1.0, class->shape}))
        return error_set(error, STATUS_INVALID, "failure class %zu: notice or shape below 0",
                         index);
    for (size_t i = 0; i < class->trace_count; i++)
        if (!(class->trace_s[i] >= (i > 0 ? class->trace_s[i - 1] : 0.0)))
            return error_set(error, STATUS_INVALID,
                             "failure class %zu: entry %zu of its trace is not in order", index, i);
    return check_times(TIMES({"outage", class->outage_s}, {"number of nodes", class->nodes_taken},
                             {"spoiled time", class->spoiled_s}),
                       error);
}

static Status check_parts(const RunInput *input, Error *error)
{
    const RunSaves *saves = &input->saves;
    const RunSlow *slow = &input->slow;
    Status status = check_times(
        TIMES({"replacement", input->replacement_s}, {"warm-up", input->warm_up_s},
              {"stall of a save", saves->stall_s}, {"time to durability", saves->durable_s},
              {"load", saves->load_s}, {"stall of a copy in memory", saves->memory_stall_s},
              {"time of a copy in memory", saves->memory_durable_s},
              {"load from memory", saves->memory_load_s}, {"number of spares", input->spares.nodes},
              {"number of crews", input->spares.crews}, {"share of lemons", input->lemons.share},
              {"number of failures of a lemon", input->lemons.removed_after},
              {"time to drop a replica", input->elastic.drop_s},
              {"time to take a replica back", input->elastic.rejoin_s},
              {"rate of slow nodes", slow->rate_per_node_s}, {"eviction", slow->evict_s},
              {"rate of loss spikes", input->spikes.rate_per_step},
              {"lag of a loss spike", input->spikes.lag_steps},
              {"way back of a loss spike", input->spikes.back_steps}),
        error);
    if (status != STATUS_OK)
        return status;
    if (saves->in_memory != 0 && !(saves->memory_every >= 1.0 && isfinite(saves->memory_every)))
        return error_set(error, STATUS_INVALID, "one in %g copies in memory goes to storage",
                         saves->memory_every);
    if (!is_law(input->spares.repair) || !is_law(input->elastic.away) || !is_law(slow->duration))
        return error_set(error, STATUS_INVALID,
                         "a random time needs a finite mean of at least 0 and a shape above 0");
    if (input->lemons.share > 0.0 &&
        !(input->lemons.share < 1.0 && input->lemons.rate_factor > 0.0))
        return error_set(error, STATUS_INVALID,
                         "lemons need a share below 1 and a factor of their rate above 0");
    if (input->elastic.replicas >= 2.0 && !(input->elastic.minimum_replicas >= 1.0))
        return error_set(error, STATUS_INVALID, "an elastic job needs at least one replica");
    if (slow->rate_per_node_s > 0.0 &&
        !(slow->factor[0] >= 1.0 && slow->factor[1] >= 1.0 && slow->evict_after_s >= 0.0 &&
          isfinite(slow->factor[0] * slow->factor[1]) && is_probability(slow->second_factor_share)))
        return error_set(error, STATUS_INVALID, "slow nodes need factors of at least 1");
    return STATUS_OK;
}

/* ---- does it finish ----------------------------------------------------------------------------
 */

static void duration_text(double seconds, char text[UNITS_TEXT_BYTES])
{
    static const struct {
        double from_s, unit_s;
        const char *name;
    } units[] = {{2 * 86400, 86400, "d"}, {2 * 3600, 3600, "h"}, {120, 60, "min"}, {0, 1, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (seconds >= units[i].from_s) {
            snprintf(text, UNITS_TEXT_BYTES, "%.3g %s", seconds / units[i].unit_s, units[i].name);
            return;
        }
}

/* Failures as S1 and S2 expect them: e^(R/M) (e^((tau + delta)/M) - 1) a segment. A job that drops
 * replicas does not go back. */
static double expected_failures(const RunInput *input, const RunPhase *phase)
{
    double mtbf_s = run_mtbf_s(input, phase);
    double tau_s = fmin(run_interval_in_steps(phase), phase->useful_s);
    double stall_s =
        input->saves.in_memory != 0 ? input->saves.memory_stall_s : input->saves.stall_s;
    double restart_s = phase->init_s + (input->saves.in_memory != 0 ? input->saves.memory_load_s
                                                                    : input->saves.load_s);
    if (isinf(mtbf_s))
        return 0.0;
    if (input->elastic.replicas >= 2.0)
        return phase->useful_s / mtbf_s;
    double exposed_s = input->restart_clock == RESTART_EXPOSED ? restart_s + input->warm_up_s : 0.0;
    return exp(exposed_s / mtbf_s) * phase->useful_s / tau_s * expm1((tau_s + stall_s) / mtbf_s);
}

/* A clear reason: what the time between failures is too short for. */
static Status refuse(const RunInput *input, const RunPhase *phase, double failures, Error *error)
{
    double mtbf_s = run_mtbf_s(input, phase);
    double tau_s = fmin(run_interval_in_steps(phase), phase->useful_s);
    double restart_s = phase->init_s + input->saves.load_s + input->warm_up_s;
    char mtbf[UNITS_TEXT_BYTES], tau[UNITS_TEXT_BYTES], save[UNITS_TEXT_BYTES],
        restart[UNITS_TEXT_BYTES];
    duration_text(mtbf_s, mtbf);
    duration_text(tau_s, tau);
    duration_text(input->saves.stall_s, save);
    duration_text(restart_s, restart);
    if (mtbf_s < input->saves.stall_s + restart_s)
        error_set(error, STATUS_NO,
                  "expected goodput 0: mean time between failures %s is shorter than one save plus "
                  "restart (%s and %s)",
                  mtbf, save, restart);
    else
        error_set(error, STATUS_NO,
                  "expected goodput 0: mean time between failures %s is too short for %s between "
                  "two saves",
                  mtbf, tau);
    error_hint(error, "%.3g failures are expected; at most %d can be simulated", failures,
               RUN_MAX_EVENTS);
    return STATUS_NO;
}

static Status check_finishes(const RunInput *input, Error *error)
{
    double total = 0.0;
    for (size_t i = 0; i < input->phase_count; i++) {
        const RunPhase *phase = &input->phases[i];
        double failures = expected_failures(input, phase);
        total += failures;
        if (!(total <= RUN_MAX_EVENTS))
            return refuse(input, phase, failures, error);
        total += phase->useful_s * phase->nodes * input->slow.rate_per_node_s;
        if (phase->step_s > 0.0)
            total += phase->useful_s / phase->step_s * input->spikes.rate_per_step;
        if (!(total <= RUN_MAX_EVENTS))
            return error_set(error, STATUS_NO,
                             "%.3g slow nodes and loss spikes are expected: at most %d can be "
                             "simulated",
                             total, RUN_MAX_EVENTS);
    }
    return STATUS_OK;
}

Status run_check(const RunInput *input, bool drawn, Error *error)
{
    if (input->phase_count == 0 || input->phase_count > MAX_RUN_PHASES)
        return error_set(error, STATUS_INVALID, "a run has 1 to %d phases, not %zu", MAX_RUN_PHASES,
                         input->phase_count);
    if (input->class_count > MAX_FAILURE_CLASSES)
        return error_set(error, STATUS_INVALID, "more than %d failure classes",
                         MAX_FAILURE_CLASSES);
    Status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < input->phase_count; i++)
        status = check_phase(input, &input->phases[i], error);
    for (size_t i = 0; status == STATUS_OK && i < input->class_count; i++)
        status = check_class(&input->classes[i], i, error);
    if (status == STATUS_OK)
        status = check_parts(input, error);
    if (status == STATUS_OK && drawn)
        status = check_finishes(input, error);
    return status;
}

/* Nodes in repair, replicas away and slow nodes: each model as an input of the run simulator. */
#include "sim/training/reliability_process.h"

#include <math.h>

#define VALUE(name) reliability_value(draw->input, name)

static const double LOGNORMAL_SIGMA = 1.0;

Law repair_law(const ReliabilityCase *input, double mean_s)
{
    static const LawKind KINDS[] = {LAW_EXPONENTIAL, LAW_FIXED, LAW_LOGNORMAL};
    return (Law){KINDS[reliability_word(input, "repair")], mean_s, LOGNORMAL_SIGMA};
}

/* A job whose failures cost nothing but nodes: restarts take no time, and it saves so often, at no
 * cost, that nothing is lost. */
static RunInput costless(double nodes, double rate_per_s, double save_every_s)
{
    return (RunInput){
        .phase_count = 1,
        .phases = {{.step_s = save_every_s,
                    .nodes = nodes,
                    .interval_s = save_every_s,
                    .class_rate_per_s = {rate_per_s}}},
        .class_count = 1,
        .classes = {{.per_node = 1}},
        .restart_clock = RESTART_SAFE,
    };
}

/* Useful seconds of a run that takes at least `wall_s` when it is never held up. */
static double settled_s(double wall_s, double length_s)
{
    const double beginning = 0.1;
    return fmax(beginning * length_s, wall_s);
}

/* ---- spares ------------------------------------------------------------------------------------
 */

/* Share of time in which the job waits for a node. */
static Status wait_share(const ReliabilityReplication *draw, double crews, Law repair,
                         double chance, ReliabilitySums *sums, Error *error)
{
    const double clusters = 80.0, most_failures = 1e7; /* of all replications */
    const double settling = 5.0;                       /* repair times, from all spares there */
    double rate_per_s = VALUE("N") * VALUE("rf_per_node"), places = VALUE("spares") + 1.0;
    /* Visits to the state with all places taken, from its share of time: it is left at this rate.
     * And they come in clusters: what was left is met again with a chance of about lambda / mu. */
    double left_per_s = fmin(crews > 0.0 ? crews : places, places) / repair.mean;
    double visits_per_failure = chance * left_per_s / ((1.0 - chance) * rate_per_s);
    double visits = clusters / fmax(0.02, 1.0 - rate_per_s / left_per_s);
    double failures = fmax(draw->events, visits / visits_per_failure / (double)draw->replications);
    double first_s = settled_s(settling * repair.mean, failures / rate_per_s);
    if (!process_can_spend(draw, failures, most_failures))
        return error_set(error, STATUS_NO, "too rare to simulate: once in %.3g failures",
                         1.0 / visits_per_failure);
    if (!process_can_spend(draw, first_s * rate_per_s, most_failures))
        return error_set(error, STATUS_NO, "too many nodes in repair to simulate");

    const double saves_per_failure = 1000.0;
    RunInput input = costless(VALUE("N"), rate_per_s, 1.0 / rate_per_s / saves_per_failure);
    input.spares.limited = 1;
    input.spares.nodes = VALUE("spares");
    input.spares.crews = crews;
    input.spares.repair = repair;
    RunOutcome first = {0}, last = {0};
    Status status = process_between(draw, &input, first_s, first_s + failures / rate_per_s, sums,
                                    &first, &last, error);
    sums->a = last.ledger.spare_wait_s - first.ledger.spare_wait_s;
    return status;
}

PROCESS(process_run_spares)
{
    Law repair = repair_law(draw->input, VALUE("repair"));
    double chance = reliability_erlang_b(VALUE("N") * VALUE("rf_per_node") * repair.mean,
                                         VALUE("spares") + 1.0);
    return wait_share(draw, 0.0, repair, chance, sums, error);
}

PROCESS(process_run_crews)
{
    Law repair = {LAW_EXPONENTIAL, VALUE("repair"), 0.0};
    double chance = reliability_all_in_repair(VALUE("N") * VALUE("rf_per_node"), repair.mean,
                                              VALUE("crews"), VALUE("spares") + 1.0);
    return wait_share(draw, VALUE("crews"), repair, chance, sums, error);
}

/* ---- nodes that fail together ------------------------------------------------------------------
 */

PROCESS(process_run_correlated)
{
    const double batches_each = 400.0, most_nodes = 5e6; /* of all replications */
    const double settling = 8.0;                         /* e^-8 of the beginning is left */
    const double always_enough = 1e12;
    const ReliabilityCase *values = draw->input;
    double nodes_per_s = 0.0, rate_per_s = 0.0, rarest_per_s = values->list[0];
    for (size_t i = 0; i < values->list_count; i++) {
        rate_per_s += values->list[i];
        nodes_per_s += values->list[i] * values->list_sizes[i];
        rarest_per_s = fmin(rarest_per_s, values->list[i]);
    }
    double repair_s = VALUE("repair"), length_s = draw->events / nodes_per_s;
    double first_s = settled_s(settling * repair_s, length_s);
    if (!process_can_spend(draw, (first_s + length_s) * nodes_per_s, most_nodes))
        return error_set(error, STATUS_NO, "too many nodes in repair to simulate");
    length_s = fmax(length_s, batches_each / rarest_per_s / (double)draw->replications);
    if (!process_can_spend(draw, (first_s + length_s) * nodes_per_s, most_nodes))
        return error_set(error, STATUS_NO, "too rare to simulate: a class of %.3g a year",
                         rarest_per_s * 8760.0 * 3600.0);

    RunInput input = costless(1.0, 0.0, 1e-3 / rate_per_s);
    input.class_count = values->list_count;
    for (size_t i = 0; i < values->list_count; i++) {
        input.phases[0].class_rate_per_s[i] = values->list[i];
        input.classes[i] = (RunClass){.nodes_taken = values->list_sizes[i]};
    }
    input.spares.limited = 1;
    input.spares.nodes = always_enough;
    input.spares.repair = (Law){LAW_EXPONENTIAL, repair_s, 0.0};
    input.spares.measured = 1;
    RunOutcome first = {0}, last = {0};
    Status status =
        process_between(draw, &input, first_s, first_s + length_s, sums, &first, &last, error);
    double first_mean = first.nodes_in_repair_mean, last_mean = last.nodes_in_repair_mean;
    sums->a = last_mean * last.wall_s - first_mean * first.wall_s;
    sums->c =
        (last.nodes_in_repair_sd * last.nodes_in_repair_sd + last_mean * last_mean) * last.wall_s -
        (first.nodes_in_repair_sd * first.nodes_in_repair_sd + first_mean * first_mean) *
            first.wall_s;
    return status;
}

/* ---- below full speed --------------------------------------------------------------------------
 */

PROCESS(process_run_elastic)
{
    const double settling = 5.0, most_failures = 5e6; /* of all replications */
    double rate_per_s = VALUE("job_rate_per"), away_s = VALUE("T_rep");
    double length_s = draw->events / rate_per_s, first_s = settled_s(settling * away_s, length_s);
    if (VALUE("replicas") < 2.0)
        return error_set(error, STATUS_NO, "a job of one replica cannot drop it");
    if (!process_can_spend(draw, (first_s + length_s) * rate_per_s, most_failures))
        return error_set(error, STATUS_NO, "too many replicas are away to simulate");
    RunInput input = costless(VALUE("replicas"), rate_per_s, 1e-3 / rate_per_s);
    input.elastic = (RunElastic){.replicas = VALUE("replicas"),
                                 .minimum_replicas = 1.0,
                                 .drop_s = VALUE("pause_drop"),
                                 .rejoin_s = VALUE("pause_rejoin"),
                                 .away = repair_law(draw->input, away_s)};
    return process_between(draw, &input, first_s, first_s + length_s, sums, NULL, NULL, error);
}

PROCESS(process_run_fail_slow)
{
    const double settling = 8.0, most_onsets = 5e6, spells = 300.0; /* of all replications */
    FailSlow slow = fail_slow_case(draw->input);
    double rate_per_s = slow.nodes * slow.rate_per_node_s;
    double spell_s = fmin(slow.duration_s, slow.evict_after_s);
    double length_s = draw->events / rate_per_s, first_s = settled_s(settling * spell_s, length_s);
    double onsets = (first_s + length_s) * rate_per_s;
    if (!process_can_spend(draw, onsets, most_onsets))
        return error_set(error, STATUS_NO, "too many slow nodes to simulate");
    if (slow.worse_share > 0.0 && onsets * (double)draw->replications * slow.worse_share < spells)
        return error_set(error, STATUS_NO, "too rare to simulate: P_slow2 = %g", slow.worse_share);
    RunInput input = costless(slow.nodes, 0.0, 1e-3 / rate_per_s);
    input.slow = (RunSlow){.rate_per_node_s = slow.rate_per_node_s,
                           .duration = {LAW_EXPONENTIAL, slow.duration_s, 0.0},
                           .evict_after_s = slow.evict_after_s,
                           .evict_s = slow.pause_s,
                           .factor = {slow.slow[0], slow.slow[1]},
                           .second_factor_share = slow.worse_share};
    return process_between(draw, &input, first_s, first_s + length_s, sums, NULL, NULL, error);
}

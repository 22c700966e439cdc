/* A fleet against closed forms and a plain queue simulation. */
#include "tests/unit/serving_scenario.h"

#include "sim/serving/arrivals.h"
#include "sim/serving/fleet.h"
#include "tests/unit/shipped.h"

#include <math.h>

enum { ANSWER = 200 }; /* tokens, each of 1 ms */
static const double step_s = 1e-3, service_s = ANSWER * 1e-3;

/* Replicas that answer one request at a time, each in ANSWER iterations of 1 ms. */
static Scenario *fleet_of(size_t clusters, double replicas)
{
    Scenario *scenario = malloc(sizeof *scenario);
    assert_non_null(scenario);
    single_server_scenario(scenario);
    ServingSpec *serving = &scenario->serving;
    serving->step_overhead_s = step_s;
    serving->prompt_tokens = 1;
    serving->output_tokens = ANSWER;
    serving->length_sigma = 0;
    FleetSpec *fleet = &scenario->fleet;
    fleet->duration_s = 96 * 60; /* bins of a minute */
    fleet->routing = ROUTE_LEAST_LOADED;
    fleet->interval_s = 60;
    fleet->cluster_count = clusters;
    fleet->region_count = clusters;
    for (size_t i = 0; i < clusters; i++) {
        snprintf(fleet->clusters[i].name, sizeof fleet->clusters[i].name, "cluster %zu", i);
        snprintf(fleet->regions[i].name, sizeof fleet->regions[i].name, "region %zu", i);
        fleet->clusters[i].replicas = replicas;
        fleet->clusters[i].minimum = 1;
        fleet->regions[i].share = 1;
    }
    return scenario;
}

static void link_to(FleetSpec *fleet, size_t region, size_t cluster, double latency_s)
{
    LinkSpec *link = &fleet->links[fleet->link_count++];
    memcpy(link->region, fleet->regions[region].name, sizeof link->region);
    memcpy(link->cluster, fleet->clusters[cluster].name, sizeof link->cluster);
    link->latency_s = latency_s;
}

static FleetResult *simulate(const Scenario *scenario, double rate_per_s)
{
    const FleetOptions options = {.rate_per_s = rate_per_s, .seed = 5};
    FleetResult *result = malloc(sizeof *result);
    Error error = {0};
    assert_non_null(result);
    if (fleet_simulate(scenario, &options, result, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_near(result->asked, result->all.finished + result->all.rejected + result->lost, 0);
    return result;
}

/* Every request goes to the server with the fewest there, each served in order: by hand, over the
 * same arrivals. */
static void least_loaded_is_the_shortest_queue(void **state)
{
    enum { SERVERS = 3, MOST = 1 << 17 };
    Scenario *scenario = fleet_of(1, SERVERS);
    const double rate = 0.8 * SERVERS / service_s;
    (void)state;
    scenario->serving.length_sigma = 0.7; /* answers that differ */
    FleetResult *result = simulate(scenario, rate);

    RateCurve *curve = malloc(sizeof *curve);
    double *ends = calloc((size_t)SERVERS * MOST, sizeof *ends);
    size_t first[SERVERS] = {0}, count[SERVERS] = {0};
    double sum_s = 0, requests = 0;
    Arrival arrival;
    Error error = {0};
    int more;
    assert_non_null(curve);
    assert_non_null(ends);
    assert_int_equal(
        rate_curve_of_region(&scenario->fleet, &scenario->fleet.regions[0], curve, &error),
        STATUS_OK);
    ArrivalStream stream = arrivals_on_curve(scenario, rate, curve, 5, 0);
    while (arrivals_next(&stream, &arrival, &more, &error) == STATUS_OK &&
           arrival.at_s < scenario->fleet.duration_s) {
        size_t best = 0;
        for (size_t i = 0; i < SERVERS; i++) {
            while (first[i] < count[i] && ends[i * MOST + first[i]] <= arrival.at_s)
                first[i]++;
            if (count[i] - first[i] < count[best] - first[best])
                best = i;
        }
        const double free_s = count[best] > 0 ? ends[best * MOST + count[best] - 1] : 0;
        const double start_s = fmax(arrival.at_s, free_s);
        ends[best * MOST + count[best]++] = start_s + arrival.output * step_s;
        assert_true(count[best] < MOST);
        sum_s += start_s + step_s - arrival.at_s;
        requests++;
    }
    assert_near(result->asked, requests, 0);
    assert_near(result->all.latency_s[LATENCY_TTFT][LATENCY_MEAN] / (sum_s / requests), 1, 1e-6);
    free(ends);
    free(curve);
    free(result);
    free(scenario);
}

/* M/D/1: W = rho S / (2 (1 - rho)) in each datacentre, the network there and back on top. */
static void nearest_makes_independent_queues(void **state)
{
    Scenario *scenario = fleet_of(2, 1);
    const double load = 0.6, near_s = 0.02;
    (void)state;
    scenario->fleet.routing = ROUTE_NEAREST;
    scenario->fleet.duration_s = 10 * 3600;
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++)
            link_to(&scenario->fleet, i, k, i == k ? near_s : 0.5);
    FleetResult *both = simulate(scenario, 2 * load / service_s);
    const double line_s = load * service_s / (2 * (1 - load));
    for (size_t i = 0; i < 2; i++)
        assert_near(both->clusters[i].latency_s[LATENCY_TTFT][LATENCY_MEAN],
                    line_s + step_s + 2 * near_s, 0.05 * line_s);
    /* What one of them does alone is what it does beside the other. */
    scenario->fleet.regions[1].share = 0;
    FleetResult *one = simulate(scenario, load / service_s);
    assert_near(one->clusters[1].finished, 0, 0);
    assert_near(one->clusters[0].finished, both->clusters[0].finished, 0);
    for (size_t kind = 0; kind < LATENCY_KINDS; kind++)
        for (size_t k = 0; k < LATENCY_STATISTICS; k++)
            assert_near(one->clusters[0].latency_s[kind][k] / both->clusters[0].latency_s[kind][k],
                        1, 1e-9);
    free(one);
    free(both);
    free(scenario);
}

static void a_full_datacentre_spills_over(void **state)
{
    Scenario *scenario = fleet_of(2, 1);
    (void)state;
    scenario->fleet.routing = ROUTE_NEAREST;
    scenario->fleet.regions[1].share = 0; /* all ask near the first */
    link_to(&scenario->fleet, 0, 1, 0.1);
    FleetResult *stays = simulate(scenario, 0.9 / service_s);
    assert_near(stays->clusters[1].finished, 0, 0);
    scenario->fleet.spill = 3;
    FleetResult *spills = simulate(scenario, 1.5 / service_s); /* more than one of them can */
    assert_true(spills->clusters[1].finished > 0.3 * spills->asked);
    assert_true(spills->clusters[0].finished > spills->clusters[1].finished);
    assert_true(spills->all.latency_s[LATENCY_E2E][LATENCY_P99] < 12 * service_s + 0.2);
    free(spills);
    free(stays);
    free(scenario);
}

/* A window of ten minutes in one of two datacentres: nothing arrives there, all of it does in the
 * other, what ran is asked again, and nothing is lost or answered twice. */
static void an_outage_moves_the_load(void **state)
{
    Scenario *scenario = fleet_of(2, 2);
    const double rate = 0.4 * 4 / service_s; /* one alone: 80% */
    (void)state;
    scenario->fleet.clusters[0].outage_start_s = 30 * 60;
    scenario->fleet.clusters[0].outage_s = 10 * 60;
    scenario->fleet.detect_s = 2;
    FleetResult *retry = simulate(scenario, rate);
    const FleetBin *down = retry->clusters[0].bins, *other = retry->clusters[1].bins;
    assert_near(retry->all.outages, 1, 0);
    assert_near(retry->lost, 0, 0);
    assert_true(retry->all.interrupted >= 1);
    for (size_t i = 30; i < 40; i++) {
        assert_near(down[i].asked, 0, 0);
        assert_near(down[i].ready, 0, 0);
        assert_near(other[i].asked, rate * 60, 6 * sqrt(rate * 60));
    }
    assert_near(down[29].ready, 2, 0);
    assert_near(down[40].ready, 2, 0);
    assert_near(retry->all.asked, retry->asked + retry->all.interrupted, 0);

    scenario->fleet.failover = FAILOVER_DRAIN;
    FleetResult *drain = simulate(scenario, rate);
    assert_near(drain->all.interrupted, 0, 0);
    assert_near(drain->clusters[0].bins[35].asked, 0, 0);
    assert_true(drain->all.latency_s[LATENCY_E2E][LATENCY_P99] <=
                retry->all.latency_s[LATENCY_E2E][LATENCY_P99]);

    /* Both gone: who asks then finds no place. */
    scenario->fleet.clusters[1].outage_start_s = 30 * 60;
    scenario->fleet.clusters[1].outage_s = 10 * 60;
    FleetResult *dark = simulate(scenario, rate);
    assert_near(dark->lost, rate * 600, 6 * sqrt(rate * 600));
    free(dark);
    free(drain);
    free(retry);
    free(scenario);
}

/* Failures drawn with rate f and repair r keep a datacentre down for f r / (1 + f r) of the time.
 */
static void drawn_failures_have_their_rate(void **state)
{
    Scenario *scenario = fleet_of(2, 1);
    (void)state;
    scenario->fleet.duration_s = 4e6;
    scenario->fleet.clusters[0].failures_per_s = 1.0 / 3000;
    scenario->fleet.clusters[0].repair_s = 1000;
    FleetResult *result = simulate(scenario, 0.01);
    const double cycles = 4e6 / 4000;
    assert_near(result->clusters[0].outages, cycles, 4 * sqrt(cycles));
    assert_near(result->clusters[0].on_s / 4e6, 0.75, 0.03);
    free(result);
    free(scenario);
}

/* Rates of 1 for an hour and 8 from then on, replicas of 5 requests/s: at 80% one is enough, then
 * more are wanted, and answer exactly `start_up` after the decision that follows the step. */
static void the_autoscaler_follows_the_load(void **state)
{
    Scenario *scenario = fleet_of(1, 4);
    FleetSpec *fleet = &scenario->fleet;
    (void)state;
    fleet->target = 0.8;
    fleet->start_up_s = 290;
    fleet->down_delay_s = 600;
    fleet->reuse = 0.5;
    fleet->regions[0].curve = 1;
    fleet->curve_count = 2;
    fleet->curves[0] = (CurvePoint){1, 0, 1};
    fleet->curves[1] = (CurvePoint){1, 1, 8};
    const double mean_rate = (1 + 23 * 8) / 24.0;
    FleetResult *result = simulate(scenario, mean_rate);
    const FleetBin *bins = result->clusters[0].bins;
    assert_near(result->maximum_per_s, 1 / service_s, 0.02 / service_s);
    assert_near(bins[5].ready, 4, 0);  /* the day begins with all of them */
    assert_near(bins[12].ready, 1, 0); /* released: 10 minutes after the first decision */
    assert_near(bins[59].ready, 1, 0);
    /* The step at minute 60 is seen at 61, answered at 61 min + 290 s = 65 min 50 s. */
    assert_near(bins[64].ready, 1, 0);
    assert_true(bins[65].ready >= 2);
    assert_true(result->clusters[0].most_ready <= 4);
    for (size_t i = 0; i < FLEET_BINS; i++)
        assert_true(bins[i].ready >= 1 && bins[i].ready <= 4);
    /* Money: $1 an hour for each of 4 GPUs; half of what is lent comes back. */
    const ClusterResult *all = &result->all;
    assert_true(all->released_s > 45 * 60 * 3);
    assert_near(all->on_s + all->released_s, 4 * fleet->duration_s, 1e-3);
    assert_near(all->usd_without_reuse, 4 * fleet->duration_s / 3600, 1e-6);
    assert_near(all->usd, (4 * fleet->duration_s - 0.5 * all->released_s) / 3600, 1e-6);
    free(result);
    free(scenario);
}

static void curves_are_followed(void **state)
{
    Scenario *scenario = fleet_of(1, 4);
    FleetSpec *fleet = &scenario->fleet;
    (void)state;
    fleet->duration_s = 86400;
    fleet->regions[0].swing = 0.8;
    fleet->regions[0].peak_s = 14 * 3600;
    fleet->regions[0].zone_s = -5 * 3600; /* 14 h there is 19 h here */
    FleetResult *result = simulate(scenario, 8);
    assert_near(result->asked, 8 * 86400.0, 6 * sqrt(8 * 86400.0));
    for (size_t i = 0; i < FLEET_BINS; i++) {
        const double w = 2 * M_PI / 96;
        const double mean =
            8 * 900.0 * (1 + 0.8 * (sin(w * ((double)i + 1 - 76)) - sin(w * ((double)i - 76))) / w);
        assert_near(result->all.bins[i].asked, mean, 6 * sqrt(mean) + 0.02 * mean);
    }
    free(result);
    free(scenario);
}

/* Delivered units invert exactly: at rate r on a curve, t carries r times the integral to t. */
static void curve_times_invert_the_integral(void **state)
{
    static RateCurve curve = {.step_s = 10, .count = 3, .relative = {0.5, 0, 2.5}};
    RateCursor cursor = {0};
    (void)state;
    assert_near(rate_curve_time(&curve, 2, &cursor, 5), 5, 1e-12);
    assert_near(rate_curve_time(&curve, 2, &cursor, 10), 10, 1e-12);
    assert_near(rate_curve_time(&curve, 2, &cursor, 15), 21, 1e-12); /* nothing from 10 to 20 */
    assert_near(rate_curve_time(&curve, 2, &cursor, 61), 31, 1e-12); /* the next round */
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    Scenario *scenario = fleet_of(3, 2);
    (void)state;
    scenario->fleet.poll_s = 0.5;
    scenario->fleet.target = 0.7;
    scenario->fleet.clusters[1].failures_per_s = 1e-3;
    scenario->fleet.clusters[1].repair_s = 100;
    FleetResult *first = simulate(scenario, 20);
    FleetResult *second = simulate(scenario, 20);
    assert_memory_equal(first, second, sizeof *first);
    assert_true(first->all.outages > 0);
    free(first);
    free(second);
    free(scenario);
}

static void what_is_wrong_is_named(void **state)
{
    Scenario *scenario = fleet_of(2, 1);
    const FleetOptions options = {.rate_per_s = 1, .seed = 1};
    FleetResult *result = malloc(sizeof *result);
    Error error = {0};
    (void)state;
    assert_non_null(result);
    link_to(&scenario->fleet, 0, 0, 0.1);
    snprintf(scenario->fleet.links[0].cluster, NAME_BYTES, "atlantis");
    assert_int_equal(fleet_simulate(scenario, &options, result, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "atlantis"));
    scenario->fleet.link_count = 0;
    scenario->fleet.regions[1].curve = 7;
    assert_int_equal(fleet_simulate(scenario, &options, result, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "curve 7"));
    scenario->fleet.cluster_count = 0;
    assert_int_equal(fleet_simulate(scenario, &options, result, &error), STATUS_INVALID);
    free(result);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_loaded_is_the_shortest_queue),
        cmocka_unit_test(nearest_makes_independent_queues),
        cmocka_unit_test(a_full_datacentre_spills_over),
        cmocka_unit_test(an_outage_moves_the_load),
        cmocka_unit_test(drawn_failures_have_their_rate),
        cmocka_unit_test(the_autoscaler_follows_the_load),
        cmocka_unit_test(curves_are_followed),
        cmocka_unit_test(curve_times_invert_the_integral),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Runs drawn at random with every part switched on: ledgers, scaling of time, order of threads,
 * failures at awkward instants. Seeds are printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/engine/random.h"
#include "sim/training/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const uint64_t SEED = 20250217;
enum { CASES = 300 };

static double between(RandomStream *stream, double low, double high)
{
    return low + (high - low) * random_uniform(stream);
}

static int coin(RandomStream *stream)
{
    return random_uniform(stream) < 0.5;
}

/* Every part is there in about half of the cases. */
static RunInput random_input(RandomStream *stream)
{
    static const LawKind laws[] = {LAW_EXPONENTIAL, LAW_WEIBULL, LAW_GAMMA, LAW_LOGNORMAL,
                                   LAW_FIXED};
    RunInput input = {.phase_count = 1 + (size_t)between(stream, 0, 3.999),
                      .class_count = 1 + (size_t)between(stream, 0, 3.999),
                      .restart_clock = coin(stream) ? RESTART_EXPOSED : RESTART_SAFE,
                      .replacement_s = between(stream, 0, 300),
                      .warm_up_s = between(stream, 0, 60)};
    for (size_t i = 0; i < input.phase_count; i++) {
        RunPhase *phase = &input.phases[i];
        *phase = (RunPhase){.useful_s = between(stream, 1e4, 1e6),
                            .step_s = between(stream, 1, 60),
                            .interval_s = coin(stream) ? between(stream, 100, 7200) : HUGE_VAL,
                            .nodes = floor(between(stream, 10, 3000)),
                            .pause_s = coin(stream) ? between(stream, 0, 9000) : 0,
                            .init_s = between(stream, 0, 600)};
        if (input.phase_count == 1 || isinf(phase->interval_s))
            phase->useful_s = fmin(phase->useful_s, 2e4); /* without saves the end is far away */
        for (size_t c = 0; c < input.class_count; c++)
            phase->class_rate_per_s[c] = 1 / between(stream, 2e4, 5e5);
    }
    for (size_t c = 0; c < input.class_count; c++)
        input.classes[c] = (RunClass){.per_node = coin(stream),
                                      .law = laws[(size_t)between(stream, 0, 4.999)],
                                      .shape = between(stream, 0.5, 2),
                                      .calendar = random_uniform(stream) < 0.2,
                                      .nodes_taken = floor(between(stream, 0, 4)),
                                      .process_restart = random_uniform(stream),
                                      .detection_count = 2,
                                      .detection_share = {0.75, 0.25},
                                      .detection_s = {30, 1800},
                                      .outage_s = coin(stream) ? 100 : 0,
                                      .memory_share = random_uniform(stream),
                                      .notice_s = coin(stream) ? between(stream, 0, 300) : 0,
                                      .spoiled_s = coin(stream) ? between(stream, 0, 900) : 0};
    input.saves = (RunSaves){.stall_s = between(stream, 0, 120),
                             .durable_s = coin(stream) ? between(stream, 0, 900) : 0,
                             .load_s = between(stream, 0, 600),
                             .in_memory = coin(stream),
                             .memory_every = floor(between(stream, 1, 20)),
                             .memory_stall_s = between(stream, 0, 2),
                             .memory_durable_s = between(stream, 0, 30),
                             .memory_load_s = between(stream, 0, 60)};
    input.spares = (RunSpares){.limited = coin(stream),
                               .nodes = floor(between(stream, 0, 30)),
                               .crews = coin(stream) ? floor(between(stream, 1, 9)) : 0,
                               .repair = {LAW_LOGNORMAL, between(stream, 100, 1e5), 1.5},
                               .measured = coin(stream)};
    if (coin(stream))
        input.lemons = (RunLemons){.share = 0.02, .rate_factor = 10, .removed_after = 2};
    if (coin(stream))
        input.elastic = (RunElastic){.replicas = 8,
                                     .minimum_replicas = 4,
                                     .drop_s = 20,
                                     .rejoin_s = 60,
                                     .away = {LAW_GAMMA, 3000, 2}};
    if (coin(stream))
        input.slow = (RunSlow){.rate_per_node_s = 1e-9,
                               .duration = {LAW_WEIBULL, 4000, 0.7},
                               .evict_after_s = coin(stream) ? 2000 : HUGE_VAL,
                               .evict_s = 100,
                               .factor = {1.2, 2},
                               .second_factor_share = 0.3};
    if (coin(stream))
        input.spikes = (RunSpikes){.rate_per_step = 1e-4, .lag_steps = 20, .back_steps = 50};
    return input;
}

static double ledger_sum(const RunLedger *ledger)
{
    double parts[RUN_LEDGER_PARTS], sum = 0;
    memcpy(parts, ledger, sizeof parts);
    for (size_t i = 0; i < RUN_LEDGER_PARTS; i++) {
        assert_true(parts[i] >= -1e-6);
        sum += parts[i];
    }
    return sum;
}

static void scale_time(RunInput *input, double by)
{
    double *times[] = {
        &input->replacement_s,          &input->warm_up_s,           &input->saves.stall_s,
        &input->saves.durable_s,        &input->saves.load_s,        &input->saves.memory_stall_s,
        &input->saves.memory_durable_s, &input->saves.memory_load_s, &input->spares.repair.mean,
        &input->elastic.drop_s,         &input->elastic.rejoin_s,    &input->elastic.away.mean,
        &input->slow.duration.mean,     &input->slow.evict_after_s,  &input->slow.evict_s};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        *times[i] *= by;
    input->slow.rate_per_node_s /= by;
    for (size_t i = 0; i < input->phase_count; i++) {
        RunPhase *phase = &input->phases[i];
        phase->useful_s *= by;
        phase->step_s *= by;
        phase->interval_s *= by;
        phase->pause_s *= by;
        phase->init_s *= by;
        for (size_t c = 0; c < input->class_count; c++)
            phase->class_rate_per_s[c] /= by;
    }
    for (size_t c = 0; c < input->class_count; c++) {
        RunClass *class = &input->classes[c];
        class->outage_s *= by;
        class->notice_s *= by;
        class->spoiled_s *= by;
        for (size_t i = 0; i < class->detection_count; i++)
            class->detection_s[i] *= by;
    }
}

/* Ledgers add up, phases add up, the same again gives the same bytes, and a simulator that was used
 * for another run gives them too. Time times 8 is exact in binary, times 7 to rounding. */
static void test_random_runs(void **state)
{
    (void)state;
    Error error;
    RunSimulator *simulator = run_simulator_create(&error), *other = run_simulator_create(&error);
    RandomStream stream = random_stream(SEED, "inputs", 0);
    size_t finished = 0, sevens = 0;
    printf("seed %llu, %d cases\n", (unsigned long long)SEED, CASES);
    for (unsigned i = 0; i < CASES; i++) {
        RunInput input = random_input(&stream);
        RunOutcome one, again;
        Status status = run_simulate(simulator, &input, SEED, i, &one, &error);
        if (status == STATUS_NO) /* hopeless by chance: said so */
            continue;
        if (status != STATUS_OK)
            fail_msg("case %u: %s", i, error.message);
        finished++;
        assert_true(fabs(ledger_sum(&one.ledger) - one.wall_s) <= 0);
        double phases_s = 0;
        for (size_t p = 0; p < input.phase_count; p++)
            phases_s += one.phase_wall_s[p];
        if (!(fabs(phases_s - one.wall_s) < 1e-6 * one.wall_s))
            fail_msg("case %u: phases %.9g, wall %.9g", i, phases_s, one.wall_s);
        assert_true(one.goodput > 0 && one.goodput <= 1 + 1e-12);

        assert_int_equal(run_simulate(other, &input, SEED, i, &again, &error), STATUS_OK);
        assert_memory_equal(&one, &again, sizeof one);

        RunInput scaled = input;
        scale_time(&scaled, 8);
        assert_int_equal(run_simulate(other, &scaled, SEED, i, &again, &error), STATUS_OK);
        if (!(fabs(again.wall_s - 8 * one.wall_s) <= 1e-12 * again.wall_s))
            fail_msg("case %u: times 8 gives %.17g for %.17g", i, again.wall_s, one.wall_s);
        scaled = input;
        scale_time(&scaled, 7);
        assert_int_equal(run_simulate(other, &scaled, SEED, i, &again, &error), STATUS_OK);
        /* a tie that rounding breaks the other way may change what comes after it */
        sevens += fabs(again.wall_s - 7 * one.wall_s) < 1e-6 * again.wall_s;
    }
    printf("%zu finished, times 7 agreed in %zu\n", finished, sevens);
    assert_true(finished > CASES * 3 / 4);
    assert_true(sevens >= finished * 99 / 100);
    run_simulator_destroy(simulator);
    run_simulator_destroy(other);
}

/* Failures within 1 ns of what happens in a run without them, two at once, and after the end. */
static void test_awkward_instants(void **state)
{
    (void)state;
    Error error;
    RunSimulator *simulator = run_simulator_create(&error);
    RandomStream stream = random_stream(SEED, "instants", 0);
    const double shifts[] = {-1e-9, 0, 1e-9};
    for (unsigned i = 0; i < CASES; i++) {
        RunInput input = random_input(&stream);
        RunOutcome none, late;
        for (size_t p = 0; p < input.phase_count; p++)
            input.phases[p].useful_s = fmin(input.phases[p].useful_s, 2e4);
        if (run_replay(simulator, &input, NULL, NULL, 0, &none, &error) != STATUS_OK)
            continue;
        const double after[] = {none.wall_s * (1 + 1e-12) + 1e-6};
        assert_int_equal(run_replay(simulator, &input, after, NULL, 1, &late, &error), STATUS_OK);
        assert_memory_equal(&none, &late, sizeof none);
        double tau_s = run_interval_in_steps(&input.phases[0]);
        if (isinf(tau_s))
            tau_s = 100;
        const double restart_s = input.phases[0].init_s + input.saves.load_s + input.warm_up_s;
        const double instants[] = {tau_s, tau_s + input.saves.stall_s,
                                   tau_s + input.saves.stall_s + input.saves.durable_s, 0};
        for (size_t k = 0; k < 4; k++)
            for (size_t s = 0; s < 3; s++) {
                const double gaps[] = {fmax(0, instants[k] + shifts[s]),
                                       fmax(0, restart_s + shifts[s]), 0, 0,
                                       fmax(0, tau_s + shifts[s])};
                RunOutcome outcome;
                Status status = run_replay(simulator, &input, gaps, NULL, 5, &outcome, &error);
                assert_int_equal(status, STATUS_OK);
                assert_true(fabs(ledger_sum(&outcome.ledger) - outcome.wall_s) <= 0);
            }
    }
    run_simulator_destroy(simulator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_runs),
        cmocka_unit_test(test_awkward_instants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

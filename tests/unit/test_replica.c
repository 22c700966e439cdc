/* The engine replica under load: queueing limits, closed forms against single steps, memory. */
#include "tests/unit/serving_scenario.h"

#include "sim/engine/random.h"
#include "sim/serving/arrivals.h"
#include "sim/serving/replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "tests/unit/shipped.h"

/* What a run leaves behind. */
typedef struct Tally {
    size_t count;
    double wait_sum, wait_square; /* from arrival to first token, in batches of requests */
    double batch_sum;
    double batch_means, batch_squares; /* of batches of BATCH requests, for the standard error */
    size_t batches;
    double output, prompt, last_s, first_sum;
} Tally;
enum { BATCH = 1000 };

static void tally(void *context, const QueuedRequest *request, double now_s)
{
    Tally *sums = context;
    const double wait = request->first_s - request->arrival_s;
    sums->count++;
    sums->batch_sum += wait;
    if (sums->count % BATCH == 0) {
        const double mean = sums->batch_sum / BATCH;
        sums->batch_means += mean;
        sums->batch_squares += mean * mean;
        sums->batches++;
        sums->batch_sum = 0;
    }
    sums->output += request->output;
    sums->prompt += request->prompt;
    sums->first_sum += request->first_s;
    sums->last_s = now_s;
}

static void single_server(Scenario *scenario)
{
    single_server_scenario(scenario);
    scenario->serving.context_limit = 100000;
}

typedef double (*DrawService)(RandomStream *stream); /* whole iterations */

static double exponential_service(RandomStream *stream)
{
    return 1 + floor(random_exponential(stream) / log(1 / (1 - 1.0 / 200)));
}
static double fixed_service(RandomStream *stream)
{
    (void)stream;
    return 200;
}
static double mixed_service(RandomStream *stream)
{
    return random_uniform(stream) < 0.9 ? 50 : 1550; /* squared variation 5.06 */
}

/* Mean time in the line against Pollaczek-Khinchine, W = lambda E[S^2] / (2 (1 - rho)), with the
 * exact moments of the drawn distribution: first tokens come one iteration after service starts. */
static void check_queue(DrawService draw, double mean, double square, double load)
{
    enum { REQUESTS = 150000 };
    const double step_s = 1e-3;
    const double rate = load / (mean * step_s);
    const double expected = rate * square * step_s * step_s / (2 * (1 - load)) + step_s;
    Scenario *scenario = malloc(sizeof *scenario);
    Tally sums = {0};
    const LaneSink sink = {.finished = tally, .context = &sums};
    Replica *replica = NULL;
    Error error = {0};
    assert_non_null(scenario);
    single_server(scenario);
    assert_int_equal(replica_create(scenario, &sink, 0, &replica, &error), STATUS_OK);
    RandomStream gaps = random_stream(12, "gaps", 0), service = random_stream(12, "service", 0);
    double now_s = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        now_s += random_exponential(&gaps) / rate;
        const QueuedRequest request = {now_s, -1, 1, (uint32_t)draw(&service), 0, 0, 0};
        assert_int_equal(replica_advance(replica, now_s, &error), STATUS_OK);
        assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
    }
    assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
    assert_int_equal(sums.count, REQUESTS);
    const double batches = (double)sums.batches;
    const double got = sums.batch_means / batches;
    const double variance = sums.batch_squares / batches - got * got;
    const double standard_error = sqrt(variance / (batches - 1));
    print_message("  load %.2f: %.5f s in the line, expected %.5f, standard error %.5f\n", load,
                  got, expected, standard_error);
    assert_true(standard_error < 0.05 * expected);
    assert_near(got, expected, 4 * standard_error);
    replica_destroy(replica);
    free(scenario);
}

static void queue_limits_hold(void **state)
{
    (void)state;
    /* Geometric with mean m: E[S^2] = (2 - p) / p^2, p = 1/m. */
    check_queue(exponential_service, 200, (2 - 1.0 / 200) * 200 * 200, 0.7);
    check_queue(fixed_service, 200, 200 * 200, 0.8);
    check_queue(mixed_service, 0.9 * 50 + 0.1 * 1550, 0.9 * 50 * 50 + 0.1 * 1550 * 1550, 0.6);
}

/* The same requests with and without closed forms. */
static Tally run_both(const Scenario *scenario, int step_by_step, double rate, size_t requests,
                      ReplicaCounters *counters)
{
    Tally sums = {0};
    const LaneSink sink = {.finished = tally, .context = &sums};
    Replica *replica = NULL;
    Error error = {0};
    if (replica_create(scenario, &sink, step_by_step, &replica, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    ArrivalStream stream = arrivals_drawn(scenario, rate, requests, 5);
    for (int more = 1; more;) {
        Arrival arrival;
        assert_int_equal(arrivals_next(&stream, &arrival, &more, &error), STATUS_OK);
        if (!more)
            break;
        const QueuedRequest request = {
            arrival.at_s, -1, (uint32_t)arrival.prompt, (uint32_t)arrival.output, 0, 0, 0};
        assert_int_equal(replica_advance(replica, arrival.at_s, &error), STATUS_OK);
        assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
    }
    assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
    *counters = replica_counters(replica);
    replica_destroy(replica);
    return sums;
}

static void closed_forms_equal_single_steps(void **state)
{
    static const BatchPolicy POLICIES[] = {BATCH_DECODE_FIRST, BATCH_PREFILL_FIRST};
    static const KvAdmission ADMISSIONS[] = {ADMIT_PROMPT, ADMIT_WHOLE};
    Scenario *scenario = malloc(sizeof *scenario);
    (void)state;
    assert_non_null(scenario);
    for (size_t i = 0; i < 8; i++) {
        ReplicaCounters a, b;
        small_serving_scenario(scenario);
        scenario->serving.batching = POLICIES[i % 2];
        scenario->serving.kv_admission = ADMISSIONS[i / 2 % 2];
        if (i >= 4) /* memory for some 20,000 tokens: preemption */
            scenario->hardware.gpu.memory_bytes = 30e9;
        const double rate = i >= 4 ? 4 : 1.5;
        const Tally fast = run_both(scenario, 0, rate, 2000, &a);
        const Tally slow = run_both(scenario, 1, rate, 2000, &b);
        assert_int_equal(fast.count, 2000);
        assert_int_equal(slow.count, 2000);
        assert_near(fast.last_s, slow.last_s, 1e-6 * slow.last_s);
        assert_near(fast.first_sum, slow.first_sum, 1e-6 * slow.first_sum);
        assert_near(a.output_tokens, b.output_tokens, 0);
        assert_near(a.iterations, b.iterations, 0);
        assert_near(a.preempted, b.preempted, 0);
        /* On one stage all time is that of its parts. */
        assert_near(a.slowest.total_s, a.busy_s, 1e-9 * a.busy_s);
        assert_near(a.slowest.kv_s, b.slowest.kv_s, 1e-6 * b.slowest.kv_s);
        assert_near(a.slowest.weights_s + a.slowest.kv_s + a.slowest.compute_s +
                        a.slowest.collective_s + a.slowest.overhead_s,
                    a.busy_s, 1e-9 * a.busy_s);
        /* No token is lost or made: what was thrown out is read, never given, again. */
        assert_near(a.output_tokens, fast.output, 0);
        if (i >= 4 && scenario->serving.kv_admission == ADMIT_PROMPT) {
            assert_true(a.preempted > 0);
            assert_true(a.input_tokens > fast.prompt);
        } else {
            assert_near(a.preempted, 0, 0);
            assert_near(a.input_tokens, fast.prompt, 0);
        }
    }
    free(scenario);
}

/* One request alone: a pass for the prompt, then one a token. */
static void one_request_takes_its_iterations(void **state)
{
    Scenario *scenario = malloc(sizeof *scenario);
    ReplicaCounters counters;
    Tally sums = {0};
    const LaneSink sink = {.finished = tally, .context = &sums};
    Replica *replica = NULL;
    Error error = {0};
    (void)state;
    assert_non_null(scenario);
    serving_scenario(scenario);
    scenario->serving.kv_block_tokens = 16;
    scenario->serving.prefill_chunk_tokens = 1000;
    assert_int_equal(replica_create(scenario, &sink, 0, &replica, &error), STATUS_OK);
    const QueuedRequest request = {5, -1, 2500, 11, 0, 0, 0};
    assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
    assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
    counters = replica_counters(replica);
    assert_near(counters.iterations, 3 + 10, 0); /* chunks of 1000, 1000, 500 */
    assert_near(counters.input_tokens, 2500, 0);
    assert_near(counters.output_tokens, 11, 0);
    assert_int_equal(sums.count, 1);
    const QueuedRequest too_long = {5, -1, UINT32_MAX / 2, 1, 0, 0, 0};
    assert_int_equal(replica_offer(replica, &too_long, &error), STATUS_NO);
    replica_destroy(replica);
    free(scenario);
}

/* Short memory: keys and values kept by the host are not read again, and cost their way there and
 * back. */
static void swapped_sequences_come_back(void **state)
{
    Scenario *scenario = malloc(sizeof *scenario);
    ReplicaCounters recomputed, swapped, partly, slow;
    (void)state;
    assert_non_null(scenario);
    small_serving_scenario(scenario);
    scenario->hardware.gpu.memory_bytes = 30e9;
    const Tally first = run_both(scenario, 0, 4, 2000, &recomputed);
    assert_true(recomputed.preempted > 0 && recomputed.swapped == 0);

    scenario->serving.preemption = PREEMPT_SWAP;
    scenario->serving.swap_bytes = 1e12;
    scenario->hardware.node.host_bytes_per_s = 32e9;
    const Tally second = run_both(scenario, 0, 4, 2000, &swapped);
    assert_int_equal(second.count, 2000);
    assert_near(second.output, first.output, 0);
    assert_true(swapped.swapped > 0 && swapped.swap_s > 0);
    /* Prompts are read once, but for those thrown out while they are read. */
    assert_near(swapped.output_tokens, second.output, 0);
    if (swapped.preempted == swapped.swapped)
        assert_near(swapped.input_tokens, second.prompt, 0);
    assert_true(swapped.input_tokens < recomputed.input_tokens);

    /* The same step by step, bit for bit in what is counted. */
    ReplicaCounters steps;
    const Tally third = run_both(scenario, 1, 4, 2000, &steps);
    assert_near(third.last_s, second.last_s, 1e-6 * second.last_s);
    assert_near(steps.swapped, swapped.swapped, 0);
    assert_near(steps.swap_s, swapped.swap_s, 1e-9 * swapped.swap_s);

    /* A slow way costs more; little room on the host sends some to be read again; none, all. */
    scenario->hardware.node.host_bytes_per_s = 1e9;
    const Tally late = run_both(scenario, 0, 4, 2000, &slow);
    assert_true(late.last_s > second.last_s);
    scenario->hardware.node.host_bytes_per_s = 32e9;
    scenario->serving.swap_bytes = 0.6e9;
    run_both(scenario, 0, 4, 2000, &partly);
    assert_true(partly.swapped > 0 && partly.swapped < partly.preempted);
    scenario->serving.swap_bytes = 0;
    const Tally none = run_both(scenario, 0, 4, 2000, &partly);
    assert_near(none.last_s, first.last_s, 0);
    free(scenario);
}

/* A static batch leaves as one: prompts first, then as many iterations as the longest answer has.
 */
static void static_batches_leave_together(void **state)
{
    enum { REQUESTS = 8 };
    Scenario *scenario = malloc(sizeof *scenario);
    Tally sums = {0};
    const LaneSink sink = {.finished = tally, .context = &sums};
    Replica *replica = NULL;
    Error error = {0};
    (void)state;
    assert_non_null(scenario);
    small_serving_scenario(scenario);
    scenario->serving.batching = BATCH_STATIC;
    scenario->serving.max_batch = 4;
    assert_int_equal(replica_create(scenario, &sink, 0, &replica, &error), STATUS_OK);
    double tokens = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        const QueuedRequest request = {0, -1, 100, 1 + 10 * i, 0, 0, 0};
        tokens += request.output;
        assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
    }
    assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
    const ReplicaCounters counters = replica_counters(replica);
    assert_int_equal(sums.count, REQUESTS);
    /* Answers of 1..31 tokens, then of 41..71, in one iteration of prompts each. */
    assert_near(counters.iterations, (1 + 30) + (1 + 70), 0);
    assert_near(counters.sequence_iterations, 4 * 30 + 4 * 70, 0);
    assert_near(counters.output_tokens, tokens, 0);
    replica_destroy(replica);

    ReplicaCounters ignored;
    /* The same requests take longer than with continuous batches. */
    const Tally with = run_both(scenario, 0, 3, 1000, &ignored);
    scenario->serving.batching = BATCH_DECODE_FIRST;
    const Tally without = run_both(scenario, 0, 3, 1000, &ignored);
    assert_near(with.output, without.output, 0);
    assert_true(with.last_s > without.last_s);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_takes_its_iterations),
        cmocka_unit_test(closed_forms_equal_single_steps),
        cmocka_unit_test(queue_limits_hold),
        cmocka_unit_test(swapped_sequences_come_back),
        cmocka_unit_test(static_batches_leave_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

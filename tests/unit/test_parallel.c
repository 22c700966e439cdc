#include "sim/engine/parallel.h"
#include "sim/engine/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 5000 };
static const size_t THREADS[] = {1, 2, 3, 8, 0};
enum { THREAD_CHOICES = sizeof THREADS / sizeof THREADS[0] };

typedef struct Work {
    double result[COUNT];
    atomic_uint visits[COUNT];
    size_t threads;
    atomic_bool is_wrong_worker;
    atomic_uint busy[64]; /* calls now running as that worker */
    size_t first_failing, failing_step;
} Work;

static Status draw(void *context, size_t index, size_t worker, Error *error)
{
    (void)error;
    Work *work = context;
    if (worker >= work->threads || atomic_fetch_add(&work->busy[worker], 1) != 0)
        atomic_store(&work->is_wrong_worker, true);
    atomic_fetch_add(&work->visits[index], 1);
    RandomStream stream = random_stream(3, "draws", index);
    double sum = 0;
    for (size_t i = 0; i < 20 + index % 50; i++)
        sum += random_exponential(&stream);
    work->result[index] = sum;
    atomic_fetch_sub(&work->busy[worker], 1);
    return STATUS_OK;
}

static void test_same_results_on_any_number_of_threads(void **state)
{
    (void)state;
    Work *first = calloc(1, sizeof *first), *work = calloc(1, sizeof *work);
    assert_true(first != NULL && work != NULL);
    first->threads = 1;
    assert_int_equal(parallel_for(COUNT, 1, draw, first, NULL), STATUS_OK);
    for (size_t t = 0; t < THREAD_CHOICES; t++) {
        memset(work->result, 0, sizeof work->result);
        work->threads = parallel_threads(THREADS[t]);
        if (work->threads > 64)
            continue;
        for (size_t i = 0; i < COUNT; i++)
            atomic_store(&work->visits[i], 0);
        assert_int_equal(parallel_for(COUNT, THREADS[t], draw, work, NULL), STATUS_OK);
        assert_memory_equal(work->result, first->result, sizeof work->result);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(atomic_load(&work->visits[i]), 1);
        assert_false(atomic_load(&work->is_wrong_worker));
    }
    free(first);
    free(work);
}

/* Fails at first_failing and every failing_step after it; low indices take longer, so that with
 * several threads a higher one often fails first. */
static Status fail_at(void *context, size_t index, size_t worker, Error *error)
{
    (void)worker;
    Work *work = context;
    atomic_fetch_add(&work->visits[index], 1);
    if (index < work->first_failing || (index - work->first_failing) % work->failing_step != 0)
        return STATUS_OK;
    RandomStream stream = random_stream(3, "delay", index);
    for (size_t i = 0; i < (index == work->first_failing ? 20000 : 1); i++)
        work->result[index] += random_uniform(&stream);
    return error_set(error, index % 2 == 0 ? STATUS_INVALID : STATUS_INTERRUPTED, "index %zu",
                     index);
}

static void test_the_lowest_failure_is_reported(void **state)
{
    (void)state;
    Work *work = calloc(1, sizeof *work);
    assert_non_null(work);
    static const size_t FIRST[] = {0, 1, 2, 100, 1001, COUNT - 1};
    static const size_t STEPS[] = {1, 2, COUNT};
    for (size_t t = 0; t < THREAD_CHOICES; t++)
        for (size_t f = 0; f < sizeof FIRST / sizeof FIRST[0]; f++)
            for (size_t s = 0; s < 3; s++) {
                for (size_t i = 0; i < COUNT; i++)
                    atomic_store(&work->visits[i], 0);
                work->first_failing = FIRST[f];
                work->failing_step = STEPS[s];
                Error error = {.status = STATUS_OK};
                Status expected = FIRST[f] % 2 == 0 ? STATUS_INVALID : STATUS_INTERRUPTED;
                char message[32];
                snprintf(message, sizeof message, "index %zu", FIRST[f]);
                assert_int_equal(parallel_for(COUNT, THREADS[t], fail_at, work, &error), expected);
                assert_int_equal(error.status, expected);
                assert_string_equal(error.message, message);

                /* What lies below was done; one thread does nothing after a failure. */
                for (size_t i = 0; i <= FIRST[f]; i++)
                    assert_int_equal(atomic_load(&work->visits[i]), 1);
                if (THREADS[t] == 1)
                    for (size_t i = FIRST[f] + 1; i < COUNT; i++)
                        assert_int_equal(atomic_load(&work->visits[i]), 0);
                assert_int_equal(parallel_for(COUNT, THREADS[t], fail_at, work, NULL), expected);
            }
    free(work);
}

static Status never(void *context, size_t index, size_t worker, Error *error)
{
    (void)context, (void)index, (void)worker;
    return error_set(error, STATUS_INVALID, "was called");
}

static void test_edges(void **state)
{
    (void)state;
    assert_int_equal(parallel_for(0, 4, never, NULL, NULL), STATUS_OK);
    assert_int_equal(parallel_threads(7), 7);
    assert_true(parallel_threads(0) >= 1);
    assert_true(parallel_threads(SIZE_MAX) >= 1 && parallel_threads(SIZE_MAX) < 100000);
    assert_int_equal(parallel_for(3, SIZE_MAX, never, NULL, NULL), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_results_on_any_number_of_threads),
        cmocka_unit_test(test_the_lowest_failure_is_reported),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

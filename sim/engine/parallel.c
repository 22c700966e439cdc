#include "sim/engine/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

enum { MOST_THREADS = 1024 };

typedef struct Job {
    ParallelBody body;
    void *context;
    size_t count;
    atomic_size_t next_index;
    atomic_bool failed;

    pthread_mutex_t lock; /* of what follows */
    size_t failed_index;
    Status status;
    Error *error;
} Job;

typedef struct Worker {
    Job *job;
    size_t number;
    pthread_t thread;
} Worker;

/* Indices are handed out in order, so when any has failed, all below it have been handed out and
 * will finish: the lowest failing index is always found, whatever the threads did. */
static void note_failure(Job *job, size_t index, Status status, const Error *error)
{
    atomic_store(&job->failed, true);
    pthread_mutex_lock(&job->lock);
    if (job->status == STATUS_OK || index < job->failed_index) {
        job->failed_index = index;
        job->status = status;
        if (job->error != NULL)
            *job->error = *error;
    }
    pthread_mutex_unlock(&job->lock);
}

static void *work(void *argument)
{
    Worker *worker = argument;
    Job *job = worker->job;
    while (!atomic_load(&job->failed)) {
        size_t index = atomic_fetch_add(&job->next_index, 1);
        if (index >= job->count)
            break;
        Error error = {.status = STATUS_OK};
        Status status = job->body(job->context, index, worker->number, &error);
        if (status != STATUS_OK)
            note_failure(job, index, status, &error);
    }
    return NULL;
}

size_t parallel_threads(size_t threads)
{
    if (threads == 0) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        threads = processors > 0 ? (size_t)processors : 1;
    }
    return threads < MOST_THREADS ? threads : MOST_THREADS;
}

Status parallel_for(size_t count, size_t threads, ParallelBody body, void *context, Error *error)
{
    if (count == 0)
        return STATUS_OK;
    threads = parallel_threads(threads);
    if (threads > count)
        threads = count;

    Job job = {.body = body, .context = context, .count = count, .error = error};
    atomic_init(&job.next_index, 0);
    atomic_init(&job.failed, false);
    if (pthread_mutex_init(&job.lock, NULL) != 0)
        return error_set(error, STATUS_ENVIRONMENT, "no memory for a lock");

    /* The calling thread is worker 0. A thread that cannot be started leaves its share to the
     * others. */
    Worker workers[MOST_THREADS];
    size_t started = 0;
    for (size_t i = 0; i < threads; i++) {
        workers[i] = (Worker){.job = &job, .number = i};
        if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            break;
        started = i + 1;
    }
    work(&workers[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_mutex_destroy(&job.lock);
    return job.status;
}

/* Processes without a course of time: machines lost together, the slowest of many workers. */
#include "sim/engine/random.h"
#include "sim/training/reliability_process.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define VALUE(name) reliability_value(draw->input, name)

typedef struct Machines {
    size_t machines, copies, lost;
    uint32_t *losses; /* of each group */
    unsigned char *gone;
    size_t *drawn; /* machines lost in this draw */
} Machines;

/* `lost` different machines, each set equally likely (Floyd 1987); 1 when no group is among them.
 */
static int shards_survive(Machines *m, RandomStream *stream)
{
    int survive = 1;
    for (size_t i = 0; i < m->lost; i++) {
        size_t top = m->machines - m->lost + i;
        size_t pick = (size_t)(random_uniform(stream) * (double)(top + 1));
        if (m->gone[pick])
            pick = top;
        m->gone[pick] = 1;
        m->drawn[i] = pick;
        if (++m->losses[pick / m->copies] == m->copies)
            survive = 0;
    }
    for (size_t i = 0; i < m->lost; i++) {
        m->gone[m->drawn[i]] = 0;
        m->losses[m->drawn[i] / m->copies] = 0;
    }
    return survive;
}

PROCESS(process_copies)
{
    const double rare_outcomes = 200.0, most_picks = 5e7; /* of all replications */
    Machines m = {.machines = (size_t)VALUE("machines"),
                  .copies = (size_t)VALUE("copies"),
                  .lost = (size_t)VALUE("lost_together")};
    double chance, replications = (double)draw->replications;
    Status status = reliability_copies_survive((double)m.machines, (double)m.copies, (double)m.lost,
                                               &chance, error);
    if (status != STATUS_OK)
        return status;
    double rarer = fmin(chance, 1.0 - chance);
    double draws = fmax(1.0, draw->events / (double)m.lost);
    if (rarer > 0.0)
        draws = fmax(draws, ceil(rare_outcomes / rarer / replications));
    if (!process_can_spend(draw, draws * (double)m.lost, most_picks))
        return error_set(error, STATUS_NO, "too rare to simulate: once in %.3g draws", 1.0 / rarer);

    m.losses = calloc(m.machines / m.copies + 1, sizeof *m.losses);
    m.gone = calloc(m.machines, 1);
    m.drawn = calloc(m.lost, sizeof *m.drawn);
    if (m.losses == NULL || m.gone == NULL || m.drawn == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    RandomStream stream = random_stream(draw->seed, "machines lost", draw->replication);
    *sums = (ReliabilitySums){.b = floor(draws)};
    for (double i = 0.0; i < sums->b; i += 1.0)
        sums->a += shards_survive(&m, &stream);
cleanup:
    free(m.losses);
    free(m.gone);
    free(m.drawn);
    return status;
}

static double noise(RandomStream *stream, NoiseLaw law, double cv, double sigma)
{
    switch (law) {
    case NOISE_EXPONENTIAL:
        return 1.0 + cv * random_exponential(stream);
    case NOISE_LOGNORMAL:
        return exp(sigma * random_normal(stream) - sigma * sigma / 2.0);
    case NOISE_NORMAL:
        break;
    }
    return 1.0 + cv * random_normal(stream);
}

PROCESS(process_noise_maximum)
{
    const double draws_per_event = 8.0, most_draws = 1e8; /* of all replications */
    NoiseLaw law = (NoiseLaw)reliability_word(draw->input, "law");
    double workers = VALUE("N"), cv = VALUE("cv"), sigma = sqrt(log1p(cv * cv));
    double steps = fmax(1.0, floor(draw->events * draws_per_event / workers));
    if (!process_can_spend(draw, steps * workers / draws_per_event, most_draws / draws_per_event))
        return error_set(error, STATUS_NO, "too many workers to simulate");
    RandomStream stream = random_stream(draw->seed, "noise", draw->replication);
    *sums = (ReliabilitySums){.b = steps};
    for (double step = 0.0; step < steps; step += 1.0) {
        double slowest = noise(&stream, law, cv, sigma);
        for (double worker = 1.0; worker < workers; worker += 1.0)
            slowest = fmax(slowest, noise(&stream, law, cv, sigma));
        sums->a += slowest;
    }
    return STATUS_OK;
}

/* Rounds of a recurrence that need not be worked off. Inside sim/training only.
 *
 * While every stage of a pipeline does whole rounds, a round maps times to times by additions and
 * maxima only, so once all of them have grown alike since some rounds ago they go on growing alike
 * (max-plus linear systems: Baccelli et al. 1992, Synchronization and Linearity, chapter 3). With
 * one slowest stage the growth of one round is that stage's time. */
#ifndef SIM_TRAINING_STEADY_H
#define SIM_TRAINING_STEADY_H

#include <stddef.h>

enum { STEADY_PARTS = 6 };

typedef struct SteadyPart {
    double *numbers;
    size_t count;
} SteadyPart;

typedef struct Steady {
    SteadyPart parts[STEADY_PARTS]; /* all that a round depends on */
    size_t part_count;
    double *saved; /* room for the same numbers: as they were `since` rounds ago */
    size_t since;
    size_t patience, most_patience; /* periods looked for: twice as long each time */
} Steady;

/* Before the first whole round. */
void steady_begin(Steady *steady);

/* After a whole round, with `left` more to come: how many of them may be skipped; all numbers are
 * moved on by as many. */
size_t steady_skip(Steady *steady, size_t left);

#endif

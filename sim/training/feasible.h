/* Which of the uncertain choices of a scenario leave a plan that fits in memory. Inside
 * sim/training only. */
#ifndef SIM_TRAINING_FEASIBLE_H
#define SIM_TRAINING_FEASIBLE_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "models/memory.h"

/* Combinations of choices that are tried at most; inputs beyond stay at their first choice
 * meanwhile. */
enum { MAX_COMBINATIONS = 4096, DROPPED_NOTE_BYTES = 512 };

typedef struct Feasible {
    Scenario kept;     /* the scenario without choices that fit in no combination */
    Scenario midpoint; /* numbers at their middle; the first combination of choices that fits, else
                          the nearest */
    MemoryPlan memory; /* of midpoint, or of the combination that needs least when none fits */
    size_t dropped;
    char note[DROPPED_NOTE_BYTES]; /* each dropped choice with the bytes that it would need at least
                                    */
} Feasible;

/* True when the plan is consistent and fits. */
int plan_fits(const Scenario *scenario, MemoryPlan *plan);

/* Why a plan that does not fit is refused: STATUS_INVALID with what contradicts what, or STATUS_NO
 * with stage, bytes and remedy from `plan`. */
Status plan_refuse(const Scenario *scenario, const MemoryPlan *plan, Error *error);

/* Tries every combination of choices with all numbers at their middle. STATUS_NO with stage, bytes
 * and remedy when none fits; feasible->memory and feasible->midpoint are filled even then. */
Status feasible_choices(const Scenario *scenario, Feasible *feasible, Error *error);

#endif

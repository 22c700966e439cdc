/* The course of a run: phases that differ in batch, sequence length, layout, machines or model,
 * each of which is a scenario of its own. */
#ifndef MODELS_COURSE_H
#define MODELS_COURSE_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

enum { MAX_COURSE_PARTS = 64 };

/* A stretch with one batch size: a phase, or a part of one whose batch grows. */
typedef struct CoursePart {
    size_t phase;        /* in scenario->course */
    double batch_tokens; /* 0: as the phase or the scenario says */
    double share;        /* of the phase's tokens */
} CoursePart;

/* Parts in order; one of everything when the scenario has no course. Returns how many. */
size_t course_parts(const Scenario *scenario, CoursePart parts[MAX_COURSE_PARTS]);

/* The scenario of a part (without a course): overrides applied, GPUs as its ways say. */
void course_apply(const Scenario *scenario, const CoursePart *part, Scenario *out);

/* The part that most tokens are trained in, ends of ramps before their beginnings: what a report on
 * one step is about. */
CoursePart course_main(const Scenario *scenario);

/* Tokens of a phase as written, and what is left for phases that do not say: training.tokens less
 * those that do. A phase that ends at a date takes what it can of the rest before the others. */
double course_rest_tokens(const Scenario *scenario);

/* Tokens given more than once, too few, or to nobody; a date without an order. The plan of each
 * part is checked elsewhere. */
Status course_check(const Scenario *scenario, Error *error);

#endif

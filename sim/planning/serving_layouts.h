/* The layouts of a serving replica that a scenario leaves open: choices of serving.tensor and
 * serving.pipeline ({one_of: [...]}), in all combinations; without choices the one it names. */
#ifndef SIM_PLANNING_SERVING_LAYOUTS_H
#define SIM_PLANNING_SERVING_LAYOUTS_H

#include "configs/reader/scenario.h"

enum { MAX_SERVING_LAYOUTS = MAX_CHOICES * MAX_CHOICES };

typedef struct ServingLayout {
    double tensor, pipeline;
} ServingLayout;

/* Fills `layouts` and returns how many there are. */
size_t serving_layouts(const Scenario *scenario, ServingLayout layouts[MAX_SERVING_LAYOUTS]);

/* The scenario at its midpoints, laid out so, with a limit of sequences (0: its own). */
void serving_laid_out(const Scenario *scenario, const ServingLayout *layout, double max_batch,
                      Scenario *out);

#endif

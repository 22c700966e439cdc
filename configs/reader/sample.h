/* Draws of the uncertain inputs by their inverse distribution functions. Pure: the caller brings
 * the random numbers, one uniform for each input, from a stream named by the input's path, so that
 * adding a range to one key leaves the draws of all others as they were. */
#ifndef CONFIGS_READER_SAMPLE_H
#define CONFIGS_READER_SAMPLE_H

#include "configs/reader/scenario.h"

/* out = scenario with every uncertain field drawn: uniforms[i] in (0,1) decides
 * scenario->uncertain[i]. Draws are clipped to the field's bounds and rounded where the field
 * counts whole things. out->uncertain_count is 0. `out` may be `scenario`. */
void scenario_sample(const Scenario *scenario, const double *uniforms, Scenario *out);

/* out = scenario with every uncertain field at the middle of its distribution: the median, or the
 * first of several choices. out->uncertain_count is 0. */
void scenario_midpoint(const Scenario *scenario, Scenario *out);

/* The value of one input at the quantile `uniform` in (0,1), and at its middle. */
double uncertain_draw(const UncertainInput *input, double uniform);
double uncertain_middle(const UncertainInput *input);

/* The value of an uncertain field in a scenario, as a number (enum: its index). */
double scenario_field(const Scenario *scenario, const UncertainInput *input);
void scenario_set_field(Scenario *scenario, const UncertainInput *input, double value);

#endif

/* Fields of a Scenario by their dotted key, through the same tables that read files. */
#ifndef CONFIGS_READER_SCENARIO_FIELD_H
#define CONFIGS_READER_SCENARIO_FIELD_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

int scenario_has_field(const char *path);

/* STATUS_INVALID when there is no such number, or the value lies outside its bounds. Values are in
 * SI units. The field is no longer uncertain only if the caller has resolved that before. */
Status scenario_set_number(Scenario *scenario, const char *path, double value, Error *error);

/* The same for a word (enum, bool), as a file would write it. */
Status scenario_set_word(Scenario *scenario, const char *path, const char *word, Error *error);

#endif

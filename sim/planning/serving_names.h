/* Names in published tables of serving that no rule spells as a row does: other spellings of GPUs,
 * models and precisions, and engines of versions that were not fitted.
 *
 * Two shipped tables say what they stand for.
 *   serving_spellings.csv  column (hardware, model, precision), pattern -> name, or the reason to
 *                          skip. A pattern (fnmatch) is held against the text in lower case without
 *                          anything but letters, digits and dots; the first line counts.
 *   serving_engines.csv    family, word, version, year -> an engine file. A text that has the word
 *                          (written likewise) is of the family: the newest engine that is no newer
 *                          than the version behind the word, else the oldest; without a version, by
 *                          year; without either, the newest. `as` instead of a name: no engine of
 *                          this family was fitted, and another one's stand for it, by year. */
#ifndef SIM_PLANNING_SERVING_NAMES_H
#define SIM_PLANNING_SERVING_NAMES_H

#include "configs/reader/csv.h"
#include "sim/planning/kernel_validation.h"

#include <stddef.h>

enum { NAME_TEXT_BYTES = 256, ASSUMED_BYTES = KERNEL_ASSUMED_BYTES };

/* Lower case, letters, digits and dots alone. */
void name_plain(const char *text, char *plain, size_t bytes);

/* Adds "what" to what a row takes for granted, behind "; ". What does not fit is left out. */
void assume(char assumed[ASSUMED_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The name of the first spelling that fits; NULL with the reason, which names `cell`. */
const char *spelled(const CsvTable *spellings, const char *column, const char *cell,
                    const char *text, char *reason, size_t reason_bytes);

/* The name that the first rule of `column` in `names` gives to a cell's text, or else the first
 * spelling of the kind `spelling` that fits, said in `assumed`; NULL with the reason, which names
 * `cell`. */
const char *name_by_rules(const CsvTable *names, const CsvTable *spellings, const char *column,
                          const char *spelling, const char *cell, const char *text,
                          char assumed[ASSUMED_BYTES], char *reason, size_t reason_bytes);

/* How weights of a precision are stored and multiplied, where a scenario must say
 * (serving.weights), with what is taken for granted; NULL: it need not. */
const char *weights_format(const char *precision, char assumed[ASSUMED_BYTES]);

/* The first year 2015..2099 of a text; 0: none. */
double year_in(const char *text);

/* The file of the nearest engine that `text` names; NULL: it names no family. `year` 0: not known.
 * Adds to `assumed` what was taken for what. */
const char *engine_nearest(const CsvTable *engines, const char *text, double year,
                           char assumed[ASSUMED_BYTES]);

#endif

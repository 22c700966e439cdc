/* What a published row means in this program's words, as shipped tables in configs/measurements:
 *   gpus.csv         gpu -> a name in configs/hw
 *   stacks.csv       id, source, words, from, to (years), zero_stage -> a software stack in
 *                    configs/calibration
 *   stack_words.csv  words, kind, gpu, from, to, zero_stage -> the same for a source that is not
 *                    among them; the last lines have no words: what was usual in that year
 *   facts.csv        id, source, model, zero_stage -> what the source says outside the columns, as
 *                    KEY=VALUE
 *   fact_words.csv   words, kind, zero_stage -> the same
 *   conventions.csv  mfu_convention -> a named way to count FLOPs
 *   spellings.csv    column, pattern -> the word that this program has for it
 *   model_names.csv  model -> a shape (measured_model.h)
 * The columns left of the arrows are patterns (* and ?; empty: any). Those of gpus, spellings and
 * `kind` are held against the cell's words in lower case (configs/reader/measured_cell.h), those of
 * `words` against the words of stack, source, source_locator, model and notes, one after the other
 * with a blank at either end. Of facts all lines that match count, those of facts.csv last; of the
 * others the first. */
#ifndef SIM_PLANNING_MEASURED_RULES_H
#define SIM_PLANNING_MEASURED_RULES_H

#include "sim/planning/measured_model.h"

enum { MAX_FACTS = 32 };

typedef struct MeasuredRules {
    CsvTable gpus, stacks, stack_words, facts, fact_words, conventions, spellings;
    NamedModels models;
} MeasuredRules;

Status measured_rules_read(const ConfigPaths *paths, MeasuredRules *rules, Error *error);
void measured_rules_free(MeasuredRules *rules);

typedef struct HardwareRule {
    const char *hw;  /* empty: known, and not simulated */
    const char *why; /* of the line */
    int assumed;     /* the name leaves open what the table takes */
    int unmeasured;  /* no software stack was fitted to a step of this GPU */
} HardwareRule;

/* False when the GPU's name is none of those in the table. */
int rules_hardware(const MeasuredRules *rules, const Measurement *row, HardwareRule *rule);

/* Whether a stack may be chosen. */
typedef int (*StackFilter)(const void *context, const char *stack);

/* The row's own stack where it has a name of configs/calibration (stack-...), else the first of the
 * tables' that `filter` (NULL: any) lets pass. *assumed: it is one of stack_words.csv. NULL: none.
 */
const char *rules_stack(const MeasuredRules *rules, const Measurement *row, StackFilter filter,
                        const void *context, int *assumed);

/* Facts as KEY=VALUE texts; returns how many (at most MAX_FACTS). */
size_t rules_facts(const MeasuredRules *rules, const Measurement *row,
                   const char *facts[MAX_FACTS]);

typedef struct ConventionRule {
    const char *convention; /* of sim/planning/flop_convention.h */
    const char *peak;       /* "bf16", "fp8": what an MFU is a share of; "own": that of the row */
    int assumed;            /* the text says something else than any that the table knows */
} ConventionRule;

/* False when the row's convention is none of those named. */
int rules_convention(const MeasuredRules *rules, const Measurement *row, ConventionRule *rule);

/* The word for what a column's cell says; the cell itself where the table has none. *assumed: the
 * cell leaves open what the table takes. */
const char *rules_spelling(const MeasuredRules *rules, const char *column, const char *text,
                           int *assumed);

#endif

/* What a published row means in this program's words, as shipped tables in configs/measurements:
 *   gpus.csv         gpu -> a name in configs/hw
 *   stacks.csv       id, source, from, to (years), zero_stage -> a software stack in
 *                    configs/calibration
 *   facts.csv        id, source, model, zero_stage -> what the source says outside the columns, as
 * KEY=VALUE conventions.csv  mfu_convention -> a named way to count FLOPs The columns left of the
 * arrows are patterns (* and ?; empty: any). Of gpus, stacks and conventions the first line that
 * matches counts; of facts all that match, later ones last. */
#ifndef SIM_PLANNING_MEASURED_RULES_H
#define SIM_PLANNING_MEASURED_RULES_H

#include "configs/reader/measurements.h"
#include "configs/reader/reader.h"

enum { MAX_FACTS = 32 };

typedef struct MeasuredRules {
    CsvTable gpus, stacks, facts, conventions;
} MeasuredRules;

Status measured_rules_read(const ConfigPaths *paths, MeasuredRules *rules, Error *error);
void measured_rules_free(MeasuredRules *rules);

/* NULL: unknown. *assumed: the name leaves open what the table takes. */
const char *rules_hardware(const MeasuredRules *rules, const Measurement *row, int *assumed);

/* The row's own stack, else the table's. *assumed: only the table's last resort matched (an empty
 * pattern of id and source). NULL: none. */
const char *rules_stack(const MeasuredRules *rules, const Measurement *row, int *assumed);

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

#endif

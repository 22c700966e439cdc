/* Holds published claims against simulations: simulates the scenarios that a claim file names,
 * evaluates each claim's expression over their metrics draw by draw, and judges.
 *
 * Verdicts (the rule is the same for every claim):
 *   reproduced    the published range, widened by the claim's rounding tolerance, holds the
 * simulated median, or overlaps the simulated p5..p95 explained     it does not, but another stated
 * reading of the published figure (a unit slip, another quantity) does contradicted  neither; the
 * reason says by what factor, and which bound a reading would break untestable    no expression, or
 * one that this program cannot simulate yet
 */
#ifndef SIM_PLANNING_AUDIT_H
#define SIM_PLANNING_AUDIT_H

#include "configs/reader/claims.h"
#include "sim/engine/forecast_options.h"
#include "sim/engine/metrics.h"
#include "sim/serving/serve_forecast.h"
#include "sim/training/forecast.h"

typedef enum Verdict {
    VERDICT_REPRODUCED,
    VERDICT_EXPLAINED,
    VERDICT_CONTRADICTED,
    VERDICT_UNTESTABLE,
    VERDICT_COUNT
} Verdict;

const char *verdict_name(Verdict verdict);

enum { REASON_BYTES = 2400, MAX_DRIVERS = 12 };

typedef struct ClaimResult {
    const Claim *claim; /* into the claim file */
    int has_simulated;
    Summary simulated; /* of the quantity; for `holds` the share of draws in which it is true */
    Verdict verdict;
    Summary evidence[MAX_EVIDENCE]; /* values of claim->evidence */
    char reason[REASON_BYTES];
} ClaimResult;

typedef struct AuditScenario {
    const ClaimScenario *spec;
    Scenario scenario;
    char sha256[SHA256_HEX_BYTES];
    int infeasible; /* the plan does not fit; metrics then hold model.* and memory.* only */
    char reason[512];
    TrainForecast train; /* by scenario.kind */
    ServeForecast serve;
    MetricSet load;           /* of a serving scenario under a load, in place of `serve` */
    const MetricSet *metrics; /* of whichever ran */
} AuditScenario;

/* An uncertain input and how strongly it moves the headline's days (Spearman). */
typedef struct Driver {
    char input[METRIC_NAME_BYTES];
    double rho;
} Driver;

typedef struct AuditResult {
    const ClaimFile *file;
    size_t scenario_count;
    AuditScenario *scenarios;      /* in the file's order */
    const AuditScenario *headline; /* NULL when the file names none */
    ClaimResult *claims;           /* file->claim_count */
    size_t verdicts[VERDICT_COUNT];
    size_t driver_count;
    Driver drivers[MAX_DRIVERS]; /* strongest first */
} AuditResult;

Status audit_run(const ConfigPaths *paths, const ClaimFile *file, const char *const *sets,
                 size_t set_count, const ForecastOptions *options, AuditResult *result,
                 ErrorList *errors);
void audit_free(AuditResult *result);

/* Rank correlation of every input.* metric with `target`, strongest first; returns how many (<=
 * capacity). */
size_t drivers_find(const MetricSet *metrics, const char *target, Driver *drivers, size_t capacity);

#endif

/* Published claims and the quantity of a simulation that each is held against. Read from YAML:
 *
 *   schema: 1
 *   title: ...
 *   scenarios:                     # name used in expressions -> what to simulate
 *     a100: {scenario: gpt4-a100}
 *     h100: {scenario: gpt4-h100-bf16, set: [training.precision=fp8]}
 *     busy: {scenario: gpt4-serve-a100, under_load: true}   # sim/serving/load_metrics.h
 *   claims:
 *     - id: C17
 *       claim: training FLOPs
 *       low: 2.15e25
 *       high: 2.15e25
 *       unit: FLOPs
 *       source: doc1 doc2
 *       quantity: a100.run.flops_total      # an expression over metrics, numbers, + - * / ( ) min
 * max tolerance: 5%                        # rounding of the published figure; default 5% holds:
 * a100.memory.total_bytes > 40e9  # for statements: true in which share of the draws readings: #
 * other meanings that the published figure could have
 *         - {label: "gigaFLOPs, not teraFLOPs", scale: 1e-3}
 *         - {label: "cents", scale: 0.01, impossible_below: a100.cost.floor}
 *       evidence:                            # printed in the reason with their values
 *         - {label: "effective MFU at 90 days", quantity: "..."}
 *       untestable: text                     # only where no simulation can say: why
 */
#ifndef CONFIGS_READER_CLAIMS_H
#define CONFIGS_READER_CLAIMS_H

#include "configs/reader/reader.h"

enum {
    MAX_CLAIMS = 256,
    MAX_CLAIM_SCENARIOS = 64,
    MAX_CLAIM_SETS = 24,
    MAX_READINGS = 6,
    MAX_EVIDENCE = 16,
    EXPRESSION_BYTES = 384
};

typedef struct ClaimScenario {
    char name[NAME_BYTES];
    char scenario[ERROR_PATH_BYTES];
    size_t set_count;
    char sets[MAX_CLAIM_SETS][160];
    int under_load; /* of a serving scenario: as sim/serving/load_metrics.h has it */
    double reps;    /* 0: as many as asked for on the command line */
    int line, column;
} ClaimScenario;

typedef struct ClaimReading {
    char label[TITLE_BYTES];
    double scale;                    /* the published figure times this is another meaning of it */
    char quantity[EXPRESSION_BYTES]; /* empty: the claim's own */
    char impossible_below[EXPRESSION_BYTES]; /* a bound that no system can beat; empty: none */
} ClaimReading;

typedef struct ClaimEvidence {
    char label[TITLE_BYTES];
    char quantity[EXPRESSION_BYTES];
    char unit[32];
    int on_screen; /* 1: also a line of the audit's first screen */
} ClaimEvidence;

typedef struct Claim {
    char id[16];
    char topic[32];
    char claim[TITLE_BYTES];
    int has_low, has_high; /* one-sided and textual claims */
    double low, high;
    char unit[32];
    char source[TITLE_BYTES];
    char quantity[EXPRESSION_BYTES];
    char holds[EXPRESSION_BYTES];
    double tolerance;
    char untestable[320];
    size_t reading_count;
    ClaimReading readings[MAX_READINGS];
    size_t evidence_count;
    ClaimEvidence evidence[MAX_EVIDENCE];
    int line,
        column; /* of the entry, for errors found later (an expression that names no metric) */
} Claim;

typedef struct ClaimFile {
    char title[TITLE_BYTES];
    char path[ERROR_PATH_BYTES];
    char headline[NAME_BYTES]; /* the scenario that the first screen is about */
    size_t scenario_count;
    ClaimScenario scenarios[MAX_CLAIM_SCENARIOS];
    size_t claim_count;
    Claim claims[MAX_CLAIMS];
} ClaimFile; /* large: allocate it */

Status claims_read(const ConfigPaths *paths, const char *name_or_path, ClaimFile *file,
                   char sha256[SHA256_HEX_BYTES], ErrorList *errors);
Status claims_read_text(const char *label, const char *text, size_t text_bytes, ClaimFile *file,
                        char sha256[SHA256_HEX_BYTES], ErrorList *errors);

#endif

/* Keys of a claim file. */
#include "configs/reader/claims.h"
#include "configs/reader/schema.h"

#define FIGURE_LIMIT 1e60

static const Field CLAIM_SCENARIO_FIELDS[] = {
    TEXT_FIELD("name", ClaimScenario, name, NULL, FIELD_FROM_KEY, "how expressions call it"),
    TEXT_FIELD("scenario", ClaimScenario, scenario, NULL, 0,
               "a name in configs/scenarios or a path"),
    LIST_FIELD("set", FIELD_TEXT_LIST, ClaimScenario, sets, set_count, NULL, FIELD_MAY_MISS,
               "what to change: a list of KEY=VALUE"),
    WORD_FIELD("under_load", ClaimScenario, under_load, BOOL_WORDS, "false",
               "serving: requests come one by one at the sold share of what can be served"),
    NUMBER_FIELD("reps", ClaimScenario, reps, DIMENSION_COUNT, 0, 1e7, "0", FIELD_WHOLE,
                 "replications; 0: as many as asked for"),
};
static const Schema CLAIM_SCENARIO_SCHEMA = {.name = "scenario",
                                             GROUP_FIELDS(CLAIM_SCENARIO_FIELDS),
                                             .has_place = 1,
                                             .line = offsetof(ClaimScenario, line),
                                             .column = offsetof(ClaimScenario, column)};

static const Field READING_FIELDS[] = {
    TEXT_FIELD("label", ClaimReading, label, NULL, 0, "what the figure could mean"),
    NUMBER_FIELD("scale", ClaimReading, scale, DIMENSION_FIGURE, 0, FIGURE_LIMIT, "1", 0,
                 "the published figure times this is the other meaning"),
    TEXT_FIELD("quantity", ClaimReading, quantity, "", 0,
               "an expression; the claim's own when left out"),
    TEXT_FIELD("impossible_below", ClaimReading, impossible_below, "", 0,
               "an expression that no system can beat"),
};
static const Schema READING_SCHEMA = {.name = "reading", GROUP_FIELDS(READING_FIELDS)};

static const Field EVIDENCE_FIELDS[] = {
    TEXT_FIELD("label", ClaimEvidence, label, NULL, 0, "what the value is"),
    TEXT_FIELD("quantity", ClaimEvidence, quantity, NULL, 0, "an expression"),
    TEXT_FIELD("unit", ClaimEvidence, unit, "", 0, "of the value"),
    WORD_FIELD("on_screen", ClaimEvidence, on_screen, BOOL_WORDS, "false",
               "show it on the audit's first screen"),
};
static const Schema EVIDENCE_SCHEMA = {.name = "evidence", GROUP_FIELDS(EVIDENCE_FIELDS)};

#define PUBLISHED(KEY, MEMBER, PRESENCE, HELP)                                                     \
    {                                                                                              \
        .key = (KEY), .kind = FIELD_NUMBER, .flags = FIELD_OPTIONAL,                               \
        .offset = offsetof(Claim, MEMBER), .help = (HELP), .dimension = DIMENSION_FIGURE,          \
        .minimum = -FIGURE_LIMIT, .maximum = FIGURE_LIMIT, .count = offsetof(Claim, PRESENCE)      \
    }

static const Field CLAIM_FIELDS[] = {
    TEXT_FIELD("id", Claim, id, NULL, FIELD_UNIQUE, "short and unique"),
    TEXT_FIELD("topic", Claim, topic, "", 0, "for grouping"),
    TEXT_FIELD("claim", Claim, claim, NULL, 0, "what is claimed"),
    PUBLISHED("low", low, has_low, "lower end of the published figure"),
    PUBLISHED("high", high, has_high, "upper end of the published figure"),
    TEXT_FIELD("unit", Claim, unit, "", 0, "of the published figure"),
    TEXT_FIELD("source", Claim, source, "", 0, "where it was published"),
    TEXT_FIELD("quantity", Claim, quantity, "", 0, "an expression over metrics of the scenarios"),
    TEXT_FIELD("holds", Claim, holds, "", 0, "an expression that is true or false"),
    NUMBER_FIELD("tolerance", Claim, tolerance, DIMENSION_FRACTION, 0, 10, "5%", 0,
                 "rounding of the figure"),
    TEXT_FIELD("untestable", Claim, untestable, "", 0, "why no simulation can say"),
    LIST_FIELD(
        "readings", FIELD_LIST, Claim, readings, reading_count, &READING_SCHEMA, FIELD_MAY_MISS,
        "other meanings of the figure: a list of {label, scale, quantity, impossible_below}"),
    LIST_FIELD("evidence", FIELD_LIST, Claim, evidence, evidence_count, &EVIDENCE_SCHEMA,
               FIELD_MAY_MISS, "values for the reason: a list of {label, quantity, unit}"),
};
static const Schema CLAIM_SCHEMA = {.name = "claim",
                                    GROUP_FIELDS(CLAIM_FIELDS),
                                    .has_place = 1,
                                    .line = offsetof(Claim, line),
                                    .column = offsetof(Claim, column)};

static const Field CLAIM_FILE_FIELDS[] = {
    TEXT_FIELD("title", ClaimFile, title, "", FIELD_LABEL, "one line for reports"),
    TEXT_FIELD("headline", ClaimFile, headline, "", 0,
               "the scenario that the first screen is about"),
    LIST_FIELD("scenarios", FIELD_NAMED_LIST, ClaimFile, scenarios, scenario_count,
               &CLAIM_SCENARIO_SCHEMA, FIELD_MAY_MISS,
               "names used in expressions: NAME: {scenario: ..., set: [...]}"),
    LIST_FIELD("claims", FIELD_LIST, ClaimFile, claims, claim_count, &CLAIM_SCHEMA, 0,
               "a list of {id, claim, low, high, unit, source, quantity, ...}"),
};
const Schema CLAIM_FILE_SCHEMA = {.name = "claims", GROUP_FIELDS(CLAIM_FILE_FIELDS)};

/* Keys of speculative decoding. Defaults are those of an engine that does not speculate. */
#include "configs/reader/schema.h"

static const char *const RULE_WORDS[] = {"exact", "relaxed", NULL};

static const Field POSITION_FIELDS[] = {
    NUMBER_FIELD("share", AcceptedShare, share, DIMENSION_FRACTION, 0, 1, NULL, 0,
                 "of the rounds, those in which the draft at this position is accepted"),
};
static const Schema POSITION_SCHEMA = {.name = "position", GROUP_FIELDS(POSITION_FIELDS)};

static const Field SPECULATION_FIELDS[] = {
    NUMBER_FIELD("length", SpeculationSpec, length, DIMENSION_COUNT, 0, MAX_DRAFT_TOKENS, "0",
                 FIELD_WHOLE, "draft tokens of a sequence in one iteration; 0: no speculation"),
    NUMBER_FIELD("acceptance", SpeculationSpec, acceptance, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "chance that a draft is accepted when those before it were"),
    LIST_FIELD("positions", FIELD_LIST, SpeculationSpec, positions, position_count,
               &POSITION_SCHEMA, FIELD_MAY_MISS,
               "instead of acceptance, a list of {share: ...}, one for each draft"),
    WORD_FIELD("rule", SpeculationSpec, rule, RULE_WORDS, "exact",
               "exact keeps the model's distribution; relaxed takes more drafts than that allows"),
    NUMBER_FIELD("relaxed_acceptance", SpeculationSpec, relaxed_acceptance, DIMENSION_FRACTION, 0,
                 1, "0", 0, "rule: relaxed: acceptance under that rule"),
    NUMBER_FIELD("lenience", SpeculationSpec, lenience, DIMENSION_FRACTION, 0.001, 1, "100%", 0,
                 "rule: relaxed: a token comes up to 1/lenience times as often as the model says"),
    GROUP_FIELD("draft", SpeculationSpec, draft, &MODEL_SCHEMA, "model", FIELD_MAY_MISS,
                "the draft model: a name in configs/models or its keys"),
    NUMBER_FIELD("draft_tensor", SpeculationSpec, draft_tensor, DIMENSION_COUNT, 0, 1024, "0",
                 FIELD_WHOLE | FIELD_STEPPED, "tensor ways of the draft model; 0: as tensor"),
    NUMBER_FIELD("draft_share", SpeculationSpec, draft_share, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "without a draft model: a draft step's time over the model's own; 0: look-up"),
    NUMBER_FIELD("draft_overhead", SpeculationSpec, draft_overhead, DIMENSION_FRACTION, 0, 1, "0",
                 0, "of an iteration's host cost, what each draft step has as well"),
    NUMBER_FIELD("most_sequences", SpeculationSpec, most_sequences, DIMENSION_COUNT, 0, 1e7, "0",
                 FIELD_WHOLE, "no drafts while one scheduler decodes more; 0: always"),
};
const Schema SPECULATION_SCHEMA = {.name = "speculation", GROUP_FIELDS(SPECULATION_FIELDS)};

/* Keys of the training data, and of published laws of the loss. */
#include "configs/reader/schema.h"

#define MAX_BYTES_PER_S 1e18
#define MAX_COEFFICIENT 1e6

static const Field PART_FIELDS[] = {
    TEXT_FIELD("name", DataPart, name, NULL, FIELD_UNIQUE, "of this part"),
    NUMBER_FIELD("unique", DataPart, unique_tokens, DIMENSION_TOKENS, 0, 1e18, NULL, 0,
                 "tokens of one pass"),
    NUMBER_FIELD("epochs", DataPart, epochs, DIMENSION_NUMBER, 0, 1000, "1", 0, "passes"),
};
static const Schema DATA_PART_SCHEMA = {.name = "data part", GROUP_FIELDS(PART_FIELDS)};

static const Field DATA_FIELDS[] = {
    NUMBER_FIELD("text_bytes_per_token", DataSpec, text_bytes_per_token, DIMENSION_NUMBER, 0, 1e6,
                 "0", 0, "of text as loaded"),
    NUMBER_FIELD("read_bandwidth", DataSpec, read_bytes_per_s, DIMENSION_BYTES_PER_S, 0,
                 MAX_BYTES_PER_S, "0", 0, "of all storage that batches come from; 0: no limit"),
    LIST_FIELD("parts", FIELD_LIST, DataSpec, parts, part_count, &DATA_PART_SCHEMA, FIELD_MAY_MISS,
               "the mix: a list of {name, unique, epochs}"),
};
const Schema DATA_SCHEMA = {.name = "data", GROUP_FIELDS(DATA_FIELDS)};

#define COEFFICIENT(KEY, S, MEMBER, HELP)                                                          \
    NUMBER_FIELD(KEY, S, MEMBER, DIMENSION_NUMBER, -MAX_COEFFICIENT, MAX_COEFFICIENT, NULL, 0, HELP)

static const Field PARAMETRIC_FIELDS[] = {
    COEFFICIENT("floor", ParametricLaw, floor, "loss that nothing removes"),
    COEFFICIENT("a", ParametricLaw, a, "of a / N^alpha"),
    COEFFICIENT("alpha", ParametricLaw, alpha, "of a / N^alpha"),
    COEFFICIENT("b", ParametricLaw, b, "of b / D^beta"),
    COEFFICIENT("beta", ParametricLaw, beta, "of b / D^beta"),
};
static const Schema PARAMETRIC_SCHEMA = {.name = "parametric", GROUP_FIELDS(PARAMETRIC_FIELDS)};

static const Field ROUTED_FIELDS[] = {
    COEFFICIENT("a", RoutedLaw, a, "of log N"),
    COEFFICIENT("b", RoutedLaw, b, "of log E"),
    COEFFICIENT("c", RoutedLaw, c, "of log N log E"),
    COEFFICIENT("d", RoutedLaw, d, "constant"),
    COEFFICIENT("start", RoutedLaw, start, "E below which more experts do not count in full"),
    COEFFICIENT("maximum", RoutedLaw, maximum, "E above which they do not"),
};
static const Schema ROUTED_SCHEMA = {.name = "routed", GROUP_FIELDS(ROUTED_FIELDS)};

static const Field JOINT_FIELDS[] = {
    COEFFICIENT("floor", JointLaw, floor, "loss that nothing removes"),
    COEFFICIENT("a", JointLaw, a, "of the active parameters"),
    COEFFICIENT("alpha", JointLaw, alpha, "exponent of the active parameters"),
    COEFFICIENT("delta", JointLaw, delta, "exponent of the experts beside them"),
    COEFFICIENT("gamma", JointLaw, gamma, "what experts add to alpha"),
    COEFFICIENT("b", JointLaw, b, "of the tokens"),
    COEFFICIENT("beta", JointLaw, beta, "exponent of the tokens"),
    COEFFICIENT("omega", JointLaw, omega, "exponent of the experts beside them"),
    COEFFICIENT("zeta", JointLaw, zeta, "what experts add to beta"),
    COEFFICIENT("start", JointLaw, start, "as in routed"),
    COEFFICIENT("maximum", JointLaw, maximum, "as in routed"),
};
static const Schema JOINT_SCHEMA = {.name = "joint", GROUP_FIELDS(JOINT_FIELDS)};

static const Field LAW_FIELDS[] = {
    TEXT_FIELD("name", LawSpec, name, "custom", FIELD_LABEL, "label in reports"),
    NUMBER_FIELD("tokens_per_parameter", LawSpec, tokens_per_parameter, DIMENSION_NUMBER, 0, 1e6,
                 NULL, 0, "rule of thumb for compute-optimal training"),
    GROUP_FIELD("parametric", LawSpec, parametric, &PARAMETRIC_SCHEMA, NULL, FIELD_MAY_MISS,
                "loss by parameters and tokens"),
    GROUP_FIELD("routed", LawSpec, routed, &ROUTED_SCHEMA, NULL, FIELD_MAY_MISS,
                "loss by base parameters and experts"),
    GROUP_FIELD("joint", LawSpec, joint, &JOINT_SCHEMA, NULL, FIELD_MAY_MISS,
                "loss by active parameters, tokens and experts"),
    NUMBER_FIELD("repeat_worth", LawSpec, repeat_worth, DIMENSION_NUMBER, 0, 1e6, "0", 0,
                 "passes after which a repeated token is worth 1/e of a fresh one; 0: not known"),
};
const Schema LAW_SCHEMA = {.name = "law", GROUP_FIELDS(LAW_FIELDS)};

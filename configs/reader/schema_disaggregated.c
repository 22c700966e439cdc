/* Keys of serving.disaggregated: replicas that read prompts, replicas that answer, and the way of
 * keys and values from one to the other. Zero (`as_serving`) leaves a key to what the serving
 * section says. */
#include "configs/reader/schema.h"
#include "configs/reader/schema_words.h"
#include "configs/reader/serving_side_keys.h"

#include <assert.h>

static_assert(sizeof(KvPath) == sizeof(int) && sizeof(KvOverlap) == sizeof(int) &&
                  sizeof(FirstTokenFrom) == sizeof(int) && sizeof(SideDrafts) == sizeof(int),
              "enums are read as int");

static const char *const PATH_WORDS[] = {"fabric", "node", NULL};
static const char *const OVERLAP_WORDS[] = {"none", "by_layer", NULL};
static const char *const FIRST_TOKEN_WORDS[] = {"decode", "prefill", NULL};

#define SIDE_NUMBER(KEY, MEMBER, DIMENSION, LEAST, MOST, FALLBACK, FLAGS, HELP)                    \
    NUMBER_FIELD(KEY, ServingSideSpec, MEMBER, DIMENSION, 0, MOST, "0", FLAGS,                     \
                 HELP "; 0: as serving." KEY),
#define SIDE_WORD(KEY, MEMBER, TYPE, WORDS, OF_SIDE, FALLBACK, HELP)                               \
    WORD_FIELD(KEY, ServingSideSpec, MEMBER, OF_SIDE, "as_serving", HELP),

static const char *const DRAFTS_WORDS[] = {"as_serving", "none", NULL};

static const Field SIDE_FIELDS[] = {
    NUMBER_FIELD("replicas", ServingSideSpec, replicas, DIMENSION_COUNT, 1, MAX_SIDE_REPLICAS, NULL,
                 FIELD_WHOLE | FIELD_STEPPED, "of this side, in each of serving.replicas"),
    /* clang-format off */
    SIDE_NUMBERS(SIDE_NUMBER)
    SIDE_WORDS(SIDE_WORD)
    /* clang-format on */
    GROUP_FIELD("weights", ServingSideSpec, weights, &WEIGHTS_SCHEMA, "weights", FIELD_MAY_MISS,
                "how weights of this side's own weight_precision are stored and multiplied"),
    WORD_FIELD("drafts", ServingSideSpec, drafts, DRAFTS_WORDS, "as_serving",
               "of serving.speculation; none: this side has no draft model. Where only decode has "
               "one, it reads the prompts with it when their keys and values come"),
};
static const Schema SIDE_SCHEMA = {.name = "side", GROUP_FIELDS(SIDE_FIELDS)};

static const Field LINK_FIELDS[] = {
    WORD_FIELD("path", KvLinkSpec, path, PATH_WORDS, "fabric",
               "fabric: through the network ports of both nodes; node: inside one node"),
    NUMBER_FIELD("bandwidth", KvLinkSpec, bytes_per_s, DIMENSION_BYTES_PER_S, 0, 1e18, "0B/s", 0,
                 "of one GPU, one direction; 0: what the path's hardware gives a send"),
    NUMBER_FIELD("latency", KvLinkSpec, latency_s, DIMENSION_SECONDS, 0, 100, "0s", 0,
                 "of one transfer, beside the path's own: handshake, look-up"),
    WORD_FIELD("overlap", KvLinkSpec, overlap, OVERLAP_WORDS, "none",
               "by_layer: a layer's keys and values are sent while the next ones are computed"),
};
static const Schema LINK_SCHEMA = {.name = "link", GROUP_FIELDS(LINK_FIELDS)};

static const Field DISAGGREGATED_FIELDS[] = {
    GROUP_FIELD("prefill", DisaggregatedSpec, prefill, &SIDE_SCHEMA, NULL, 0,
                "replicas that read prompts"),
    GROUP_FIELD("decode", DisaggregatedSpec, decode, &SIDE_SCHEMA, NULL, 0,
                "replicas that give answers"),
    GROUP_FIELD("link", DisaggregatedSpec, link, &LINK_SCHEMA, NULL, FIELD_MAY_MISS,
                "the way of keys and values between them"),
    WORD_FIELD("first_token", DisaggregatedSpec, first_token, FIRST_TOKEN_WORDS, "decode",
               "side that hands it out: prefill, when the prompt is read; decode, when its keys "
               "and values have come"),
};
const Schema DISAGGREGATED_SCHEMA = {.name = "disaggregated", GROUP_FIELDS(DISAGGREGATED_FIELDS)};

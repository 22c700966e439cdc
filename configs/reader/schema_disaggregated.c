/* Keys of serving.disaggregated: replicas that read prompts, replicas that answer, and the way of
 * keys and values from one to the other. Zero (`as_serving`) leaves a key to what the serving
 * section says. */
#include "configs/reader/schema.h"
#include "configs/reader/schema_words.h"

#include <assert.h>

static_assert(sizeof(KvPath) == sizeof(int) && sizeof(KvOverlap) == sizeof(int) &&
                  sizeof(FirstTokenFrom) == sizeof(int),
              "enums are read as int");

static const char *const PATH_WORDS[] = {"fabric", "node", NULL};
static const char *const OVERLAP_WORDS[] = {"none", "by_layer", NULL};
static const char *const FIRST_TOKEN_WORDS[] = {"decode", "prefill", NULL};

#define MAX_WAYS 1024

#define WAYS(KEY, MEMBER, HELP)                                                                    \
    NUMBER_FIELD(KEY, ServingSideSpec, MEMBER, DIMENSION_COUNT, 0, MAX_WAYS, "0",                  \
                 FIELD_WHOLE | FIELD_STEPPED, HELP)

static const Field SIDE_FIELDS[] = {
    NUMBER_FIELD("replicas", ServingSideSpec, replicas, DIMENSION_COUNT, 1, MAX_SIDE_REPLICAS, NULL,
                 FIELD_WHOLE | FIELD_STEPPED, "of this side, in each of serving.replicas"),
    WAYS("tensor", tensor, "tensor-parallel ways; 0: as serving.tensor"),
    WAYS("pipeline", pipeline, "pipeline stages; 0: as serving.pipeline"),
    WAYS("expert", expert, "ways that share whole experts; 0: as serving.expert"),
    WAYS("attention_data", attention_data,
         "groups of attention among the tensor ways; 0: as serving.attention_data"),
    NUMBER_FIELD("max_batch", ServingSideSpec, max_batch, DIMENSION_COUNT, 0, 1e7, "0", FIELD_WHOLE,
                 "sequences in flight in one replica; 0: as serving.max_batch"),
    NUMBER_FIELD("prefill_chunk_tokens", ServingSideSpec, prefill_chunk_tokens, DIMENSION_TOKENS, 0,
                 1e8, "0", 0, "prompt tokens of one iteration; 0: as serving"),
    NUMBER_FIELD("iteration_tokens", ServingSideSpec, iteration_tokens, DIMENSION_TOKENS, 0, 1e8,
                 "0", 0, "tokens of one iteration; 0: as serving"),
    WORD_FIELD("weight_precision", ServingSideSpec, weight_precision, SIDE_WEIGHT_WORDS,
               "as_serving", "of the weights"),
    WORD_FIELD("kv_precision", ServingSideSpec, kv_precision, SIDE_KV_WORDS, "as_serving",
               "of keys and values as this side keeps them"),
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

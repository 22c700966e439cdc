/* Keys of one phase of a run. Zero leaves a key to what the scenario says. */
#include "configs/reader/schema.h"

#include <assert.h>

static_assert(sizeof(PhaseVision) == sizeof(int) && sizeof(PhaseRecompute) == sizeof(int),
              "enums are read as int");

static const char *const VISION_WORDS[] = {"as_model", "off", NULL};
static const char *const RECOMPUTE_WORDS[] = {"as_base", "none", "selective", "full", NULL};

#define MAX_WAYS 1024
#define YEAR_S   3.1536e7

#define WAYS(KEY, MEMBER, MAXIMUM, HELP)                                                           \
    NUMBER_FIELD(KEY, CoursePhase, MEMBER, DIMENSION_COUNT, 0, MAXIMUM, "0",                       \
                 FIELD_WHOLE | FIELD_STEPPED, HELP)

static const Field COURSE_FIELDS[] = {
    TEXT_FIELD("name", CoursePhase, name, NULL, FIELD_UNIQUE, "of this phase"),
    NUMBER_FIELD("tokens", CoursePhase, tokens, DIMENSION_TOKENS, 0, 1e18, "0", 0,
                 "of this phase; 0: what the others leave of training.tokens"),
    NUMBER_FIELD("until", CoursePhase, until_s, DIMENSION_SECONDS, 0, 100 * YEAR_S, "0", 0,
                 "time after the start of the run at which the phase ends; 0: with its tokens"),
    NUMBER_FIELD("pause", CoursePhase, pause_s, DIMENSION_SECONDS, 0, YEAR_S, "0", 0,
                 "standstill before the phase"),
    NUMBER_FIELD("batch_tokens", CoursePhase, batch_tokens, DIMENSION_TOKENS, 0, 1e12, "0", 0,
                 "of one optimizer step, at the end of a ramp"),
    NUMBER_FIELD("batch_from", CoursePhase, batch_from, DIMENSION_TOKENS, 0, 1e12, "0", 0,
                 "the batch grows from this over the phase; 0: no ramp"),
    NUMBER_FIELD("batch_stages", CoursePhase, batch_stages, DIMENSION_COUNT, 1, 32, "8",
                 FIELD_WHOLE | FIELD_STEPPED, "batch sizes of a ramp"),
    NUMBER_FIELD("sequence_length", CoursePhase, sequence_length, DIMENSION_TOKENS, 0, 1e8, "0",
                 FIELD_WHOLE, "of a training sample"),
    WAYS("micro_batch", micro_batch, 1e5, "sequences of one microbatch"),
    WAYS("tensor", tensor, MAX_WAYS, "tensor-parallel ways"),
    WAYS("context", context, MAX_WAYS, "context-parallel ways"),
    WAYS("pipeline", pipeline, MAX_WAYS, "pipeline stages"),
    WAYS("data", data, 1e7, "data-parallel replicas: more of them is a larger cluster"),
    WAYS("older_stages", older_stages, MAX_WAYS, "last stages on hardware.older_gpu"),
    WAYS("older_layers", older_layers, 10000, "layers of each of them"),
    WAYS("older_replicas", older_replicas, 1e7, "whole replicas on hardware.older_gpu"),
    WAYS("gpus_paid", gpus_paid, 1e7, "GPUs paid for; 0: those in use"),
    WORD_FIELD("recompute", CoursePhase, recompute, RECOMPUTE_WORDS, "as_base",
               "activations computed again backward"),
    WORD_FIELD("vision", CoursePhase, vision, VISION_WORDS, "as_model",
               "off: text alone, without encoder and cross-attention layers"),
};
const Schema COURSE_SCHEMA = {.name = "phase", GROUP_FIELDS(COURSE_FIELDS)};

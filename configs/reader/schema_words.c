#include "configs/reader/schema_words.h"

#include "configs/reader/scenario.h"

#include <assert.h>
#include <stddef.h>

/* Words are stored through int, by their place. */
static_assert(sizeof(Precision) == sizeof(int) && sizeof(SidePrecision) == sizeof(int),
              "enums are read as int");
static_assert(PRECISION_BF16 == 0 && PRECISION_FP8 == 1 && PRECISION_FP16 == 2 &&
                  PRECISION_FP32 == 3 && PRECISION_INT8 == 4 && PRECISION_FP4 == 5 &&
                  PRECISION_INT4 == 6 && SIDE_PRECISION_FIRST == 1,
              "words in the order of Precision");

#define COMPUTED "bf16", "fp8", "fp16", "fp32"
#define KEPT     COMPUTED, "int8"
#define STORED   KEPT, "fp4", "int4"

const char *const PRECISION_WORDS[] = {COMPUTED, NULL};
const char *const KV_PRECISION_WORDS[] = {KEPT, NULL};
const char *const WEIGHT_PRECISION_WORDS[] = {STORED, NULL};
const char *const SIDE_KV_WORDS[] = {"as_serving", KEPT, NULL};
const char *const SIDE_WEIGHT_WORDS[] = {"as_serving", STORED, NULL};
const char *const SIDE_BOOL_WORDS[] = {"as_serving", "false", "true", NULL};
const char *const ANY_WEIGHT_WORDS[] = {"any", STORED, NULL};

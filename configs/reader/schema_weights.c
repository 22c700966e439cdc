/* Keys of serving.weights: how weights of few bits are stored, and what kernels make of them.
 * Defaults are those of kernels that lose nothing by widening. */
#include "configs/reader/schema.h"
#include "configs/reader/schema_words.h"

#include <assert.h>

static_assert(sizeof(WeightProducts) == sizeof(int), "enums are read as int");

static const char *const PRODUCTS_WORDS[] = {"as_weights", "wide", NULL};

static const Field WEIGHTS_FIELDS[] = {
    TEXT_FIELD("name", WeightFormat, name, "custom", FIELD_LABEL, "of the format, for reports"),
    WORD_FIELD("of", WeightFormat, of, ANY_WEIGHT_WORDS, "any",
               "serving.weight_precision that this is a format of"),
    WORD_FIELD("products", WeightFormat, products, PRODUCTS_WORDS, "as_weights",
               "of 8-bit weights: in 8 bits where the GPU can, or widened to 16 bits; those of 4 "
               "bits always are"),
    WORD_FIELD("wide_tables", WeightFormat, wide_tables, BOOL_WORDS, "false",
               "embedding and output head stay in 16 bits, as with serving.wide_tables"),
    NUMBER_FIELD("group", WeightFormat, group, DIMENSION_COUNT, 0, 1e6, "0", FIELD_WHOLE,
                 "weights that share a scale; 0: a whole column, not counted"),
    NUMBER_FIELD("group_bits", WeightFormat, group_bits, DIMENSION_NUMBER, 0, 128, "0", FIELD_WHOLE,
                 "bits of a group's scale and zero point"),
    NUMBER_FIELD("wide_rate", WeightFormat, wide_rate, DIMENSION_FRACTION, 0.01, 1, "100%", 0,
                 "of the FLOP/s of 16-bit products, what products reach that widen weights"),
    NUMBER_FIELD("wide_read", WeightFormat, wide_read, DIMENSION_FRACTION, 0.01, 1, "100%", 0,
                 "of the rate at which 16-bit products read weights, likewise"),
    NUMBER_FIELD("unpack_tokens", WeightFormat, unpack_tokens, DIMENSION_TOKENS, 0, 1e8, "0",
                 FIELD_WHOLE,
                 "products of so many tokens or more first write the weights out in 16 bits; 0: "
                 "none does"),
};
const Schema WEIGHTS_SCHEMA = {.name = "weights", GROUP_FIELDS(WEIGHTS_FIELDS)};

/* Keys that the serving section and a side of a disaggregated cluster have both, in one table: the
 * schemas of either and what a side takes from the section (models/serving_side.c) come from it. In
 * a side they are stored so that 0 stands for "as the section": numbers as they are, words one up.
 * Includes what its entries name: configs/reader/schema.h. */
#ifndef CONFIGS_READER_SERVING_SIDE_KEYS_H
#define CONFIGS_READER_SERVING_SIDE_KEYS_H

/* X(key, member, dimension, least, most, fallback of the section, flags, help) */
#define SIDE_NUMBERS(X)                                                                            \
    X("tensor", tensor, DIMENSION_COUNT, 1, 1024, "1", FIELD_WHOLE | FIELD_STEPPED,                \
      "tensor-parallel ways")                                                                      \
    X("pipeline", pipeline, DIMENSION_COUNT, 1, 1024, "1", FIELD_WHOLE | FIELD_STEPPED,            \
      "pipeline stages")                                                                           \
    X("expert", expert, DIMENSION_COUNT, 1, 1024, "1", FIELD_WHOLE | FIELD_STEPPED,                \
      "ways that share whole experts, among the tensor ways; 1: experts are cut")                  \
    X("attention_data", attention_data, DIMENSION_COUNT, 1, 1024, "1", FIELD_WHOLE,                \
      "groups among the tensor ways that attend for requests of their own")                        \
    X("max_batch", max_batch, DIMENSION_COUNT, 1, 1e7, NULL, FIELD_WHOLE,                          \
      "sequences in flight in the whole pipeline")                                                 \
    X("prefill_chunk_tokens", prefill_chunk_tokens, DIMENSION_TOKENS, 1, 1e8, NULL, FIELD_WHOLE,   \
      "prompt tokens of one iteration")                                                            \
    X("iteration_tokens", iteration_tokens, DIMENSION_TOKENS, 0, 1e8, "0", FIELD_WHOLE,            \
      "prompt and answer tokens of one iteration, as many as there are where the section says 0")

/* X(key, member, type of the section's, its words, a side's words, fallback of the section, help)
 */
#define SIDE_WORDS(X)                                                                              \
    X("weight_precision", weight_precision, Precision, WEIGHT_PRECISION_WORDS, SIDE_WEIGHT_WORDS,  \
      "bf16", "of stored weights: 16 bits, fp8, int8, MXFP4 (fp4), or int4 (with `weights`)")      \
    X("kv_precision", kv_precision, Precision, KV_PRECISION_WORDS, SIDE_KV_WORDS, "bf16",          \
      "of stored keys and values")                                                                 \
    X("prefix_cache", prefix_cache, int, BOOL_WORDS, SIDE_BOOL_WORDS, "false",                     \
      "under load: keys and values of beginnings that prompts share are kept and not read again, " \
      "where prompts are read")

#endif

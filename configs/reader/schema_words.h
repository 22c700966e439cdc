/* Words of precisions, in the order of Precision. */
#ifndef CONFIGS_READER_SCHEMA_WORDS_H
#define CONFIGS_READER_SCHEMA_WORDS_H

/* Of what is multiplied in training; of keys and values; of weights. */
extern const char *const PRECISION_WORDS[];
extern const char *const KV_PRECISION_WORDS[];
extern const char *const WEIGHT_PRECISION_WORDS[];

/* The same behind "as_serving" (of a side) and behind "any": SidePrecision. */
extern const char *const SIDE_KV_WORDS[];
extern const char *const SIDE_WEIGHT_WORDS[];
extern const char *const SIDE_BOOL_WORDS[];
extern const char *const ANY_WEIGHT_WORDS[];

#endif

/* A recorded request trace, read row by row: a file of any length needs one buffer.
 *
 * A CSV file whose header names a time, a prompt length and an answer length; other columns are
 * passed over. Known names: arrival_s, t_s, timestamp_ms, TIMESTAMP (a date with a time of day);
 * input_tokens, input_length, ContextTokens; output_tokens, output_length, GeneratedTokens. Times
 * count from the first row and never go back. hash_ids, if there and asked for, are numbers between
 * blanks, one for each piece of the prompt, the same number standing for the same text from the
 * start on (Mooncake's traces).
 */
#ifndef SIM_SERVING_TRACE_READER_H
#define SIM_SERVING_TRACE_READER_H

#include "sim/serving/prefix_tree.h"

#include <stdint.h>

enum { TRACE_MAX_TOKENS = 1 << 24 };

typedef struct TraceRow {
    double at_s;
    double prompt, output; /* tokens, each at least 1 */
    uint32_t prefix;       /* shared beginning; 0: none */
} TraceRow;

typedef struct TraceReader TraceReader;

/* `skip_bad`: bad rows are counted and passed over instead of ending the trace. STATUS_INVALID with
 * file, line and column; STATUS_ENVIRONMENT when the file cannot be read. */
Status trace_open(const char *path, int skip_bad, TraceReader **reader, Error *error);
/* Shared beginnings are put into the tree, whose piece_tokens are those of one hash. */
void trace_share(TraceReader *reader, PrefixTree *tree);
void trace_close(TraceReader *reader);

/* The next row; `more` is 0 behind the last one. */
Status trace_next(TraceReader *reader, TraceRow *row, int *more, Error *error);

uint64_t trace_rows_skipped(const TraceReader *reader);

#endif

/* Cells of measurement tables as people write them: numbers with separators, words for numbers,
 * ways to leave a cell empty, names spelled differently. Nothing here is a guess: a text that says
 * no single thing is no number. */
#ifndef CONFIGS_READER_MEASURED_CELL_H
#define CONFIGS_READER_MEASURED_CELL_H

#include <stdbool.h>
#include <stddef.h>

/* What a column's words mean beside numbers. */
typedef enum CellWords {
    CELL_PLAIN,
    CELL_TOKENS,   /* "4k": 4 x 1024 */
    CELL_ABSENT,   /* 0 and "none": there are none of it */
    CELL_SWITCH,   /* "true", "yes", "on" */
    CELL_GATED,    /* the same, "swiglu", "gelu" */
    CELL_SHARDING, /* "ZeRO-3", "FSDP", "DDP" */
    CELL_MEASURED, /* "46%", "~410" */
    CELL_YEAR      /* "2024-07", "July 2024" */
} CellWords;

/* "", "-", "n/a", "unknown", "not stated" and the like. */
bool cell_is_empty(const char *text);

/* A finite number; false when the text is none. An empty cell, and nought or "none" where there may
 * be none of it, is a number that is not finite. */
bool cell_number(const char *text, CellWords words, double *value);

/* Lower-case letters and digits, one blank for whatever is between them, none at either end; cut
 * when it does not fit. "H100-SXM5 (80GB)" -> "h100 sxm5 80gb". Returns `out`. */
const char *cell_words(const char *text, char *out, size_t out_bytes);

/* The same with a blank wherever a digit follows a letter: "Qwen3_30B_A3B" -> "qwen 3 30b a 3b". */
const char *cell_name_words(const char *text, char *out, size_t out_bytes);

#endif

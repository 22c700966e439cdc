/* YAML files to checked structs.
 *
 * A file is read by libyaml into a tree of located nodes (configs/reader/tree.h), includes
 * (`base:`) and named parts (`model: gpt4-leak`) are merged in, `--set` overrides are applied, and
 * a schema table turns the tree into a struct. All problems are collected, each with file, line,
 * column, the value, what is allowed and the nearest valid name; nothing is half-read.
 *
 * How a value may be written, for any key whose table entry is a number:
 *     25k  13T  8192            counts: k M G T P (1000), Ki Mi Gi Ti (1024)
 *     400Gb/s  80GiB  1.5us  90d  312T  $1/h  3%  6.5e-3/d
 *     {value: 312T, source: "..."}                  a value with its source
 *     {low: 5min, high: 20min, source: "..."}      uniform between; `scale: log` for log-uniform
 *     {p5: 90d, p95: 100d}                         normal; `scale: log` for lognormal
 * and for a key whose entry is a word: one word, or {one_of: [none, full]} (equally likely), which
 * numbers take as well. A bare number where a unit is needed is an error with a suggestion.
 */
#ifndef CONFIGS_READER_READER_H
#define CONFIGS_READER_READER_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

#include <stdbool.h>

enum { MAX_ERRORS = 50, SHA256_HEX_BYTES = 65 };

typedef struct ErrorList {
    size_t count; /* kept; at most MAX_ERRORS */
    size_t total; /* met */
    Error errors[MAX_ERRORS];
} ErrorList;

void error_list_add(ErrorList *list, const Error *error);

/* One resolved value, for `show` and provenance. */
typedef struct ResolvedValue {
    char path[128];
    char value[256];  /* as it would be written: with unit */
    char origin[320]; /* "configs/scenarios/gpt4-a100.yaml:12:5", "--set", "default" */
    char source[512]; /* its `source:` or that of the nearest group around it; empty: none */
    bool is_default;
    bool is_range;
} ResolvedValue;

typedef struct ResolvedList {
    size_t count, capacity;
    ResolvedValue *values;
} ResolvedList;

void resolved_list_free(ResolvedList *list);

/* Where shipped files live: $FLOPCAST_CONFIGS, or ./configs, or beside the program, or the
 * installed place. */
typedef struct ConfigPaths {
    char root[ERROR_PATH_BYTES];
} ConfigPaths;

/* `program_path` is argv[0] resolved (may be NULL). */
Status config_paths_find(const char *program_path, ConfigPaths *paths, Error *error);

/* "gpt4-a100" -> root/scenarios/gpt4-a100.yaml; a text with '/' or ending in .yaml/.yml is a path
 * as it is. `kind` is "models", "hw", "scenarios" or "claims". STATUS_INVALID with the nearest
 * valid name when there is none. */
Status config_locate(const ConfigPaths *paths, const char *kind, const char *name, char *path,
                     size_t path_bytes, Error *error);

/* Names in root/kind, sorted; caller frees with config_names_free. */
typedef struct ConfigNames {
    size_t count;
    char (*names)[NAME_BYTES];
} ConfigNames;
Status config_names(const ConfigPaths *paths, const char *kind, ConfigNames *names, Error *error);
void config_names_free(ConfigNames *names);

/* Reads, merges, overrides, checks one value at a time (plan_check does the rest). `sets` are
 * "key=value" texts. `resolved` may be NULL. `sha256` (of the canonical form) may be NULL. Problems
 * are appended to `errors`, which the caller zero-initialises and may use for several readings.
 * Returns STATUS_INVALID with the list filled (never empty then), STATUS_USAGE when all problems
 * are in `sets`, or STATUS_ENVIRONMENT when a file cannot be read for reasons of the machine. On
 * failure `scenario` is all zero and `resolved` empty. */
Status scenario_read(const ConfigPaths *paths, const char *name_or_path, const char *const *sets,
                     size_t set_count, Scenario *scenario, ResolvedList *resolved,
                     char sha256[SHA256_HEX_BYTES], ErrorList *errors);

/* Same from text in memory (tests, fuzzing); `label` stands for the file name in errors. */
Status scenario_read_text(const ConfigPaths *paths, const char *label, const char *text,
                          size_t text_bytes, const char *const *sets, size_t set_count,
                          Scenario *scenario, ResolvedList *resolved, char sha256[SHA256_HEX_BYTES],
                          ErrorList *errors);

/* Any shipped part on its own, for `show` and `check`: kind "models" or "hw". Scenario fields
 * outside it are zero. */
Status part_read(const ConfigPaths *paths, const char *kind, const char *name_or_path,
                 const char *const *sets, size_t set_count, Scenario *scenario,
                 ResolvedList *resolved, char sha256[SHA256_HEX_BYTES], ErrorList *errors);

/* Which kind of file this is, by its first keys: "scenarios", "claims", "models", "hw"; NULL when
 * unknown. */
const char *config_kind_of_file(const char *path);

/* The canonical form: JSON, keys sorted, SI base units, %.17g; malloc'ed text ending in '\n'. Its
 * SHA-256 is the hash. */
Status scenario_canonical(const Scenario *scenario, char **text, Error *error);

/* "file:line:column: error: message (hint)" and, when the file can be read, the line with a caret
 * under the value. */
void error_format(const Error *error, char *text, size_t text_bytes);

#endif

/* Tables that say what a configuration may hold. A table entry gives a key its kind, unit, bounds,
 * default and place in a struct; reading, overriding, hashing and suggesting all walk the same
 * tables. */
#ifndef CONFIGS_READER_SCHEMA_H
#define CONFIGS_READER_SCHEMA_H

#include "configs/reader/scenario.h"
#include "configs/reader/units.h"

typedef enum FieldKind {
    FIELD_NUMBER,     /* double */
    FIELD_WORD,       /* int: the index of a word (enum, bool) */
    FIELD_TEXT,       /* char[text_bytes] */
    FIELD_GROUP,      /* a mapping with a schema of its own; the struct lies at the offset */
    FIELD_LIST,       /* a sequence of groups */
    FIELD_NAMED_LIST, /* a mapping from names to groups */
    FIELD_TEXT_LIST   /* a sequence of texts */
} FieldKind;

typedef enum FieldFlag {
    FIELD_WHOLE = 1, /* a number that counts whole things */
    FIELD_STEPPED =
        2, /* drawn from {one_of: [...]} only: what lies between two values is no plan */
    FIELD_MAY_MISS = 4, /* a group or list that may be left out: all zero then */
    FIELD_OPTIONAL = 8, /* a number that may be left out: `presence` says whether it is there */
    FIELD_OF_JOB =
        16,           /* belongs to the job, not to the part: stays when a named part replaces it */
    FIELD_LABEL = 32, /* a name for people: cannot change a result, so it stays out of the hash */
    FIELD_UNIQUE = 64,   /* a text that no two entries of a list may share */
    FIELD_FIXED = 256,   /* one value, never drawn */
    FIELD_FROM_KEY = 128 /* a text that holds the name of an entry of a named list */
} FieldFlag;

struct Schema;

typedef struct Field {
    const char *key;
    FieldKind kind;
    unsigned flags;
    size_t offset; /* in the struct of its schema */
    const char *help;
    const char *fallback; /* as it would be written; NULL: required */
    /* numbers */
    Dimension dimension;
    double minimum, maximum;
    const char *usual_unit; /* for the suggestion to a bare number; NULL: the dimension's */
    /* words */
    const char *const *words; /* ends with NULL */
    /* texts */
    size_t text_bytes;
    /* groups and lists */
    const struct Schema *group;
    const char *part; /* a name may stand here for a shipped file of this part; NULL: not */
    size_t item_bytes, capacity;
    size_t count; /* offset of the size_t beside a list, or of the int `presence` beside an optional
                     number */
} Field;

typedef struct Schema {
    const char *name;
    size_t field_count;
    const Field *fields;
    int has_place;       /* 1: the struct keeps line and column of its entry */
    size_t line, column; /* offsets of these ints */
} Schema;

/* A kind of file that stands for one part of a scenario. */
typedef struct Part {
    const char *word;   /* `part: gpu` */
    const char *folder; /* configs/hw */
    const char *path;   /* of its group in the scenario: hardware.gpu */
    const Schema *schema;
    size_t offset; /* of its group in Scenario */
} Part;

extern const char *const BOOL_WORDS[];

extern const Schema SCENARIO_SCHEMA;
extern const Schema MODEL_SCHEMA;
extern const Schema HARDWARE_SCHEMA;
extern const Schema GPU_SCHEMA;
extern const Schema CALIBRATION_SCHEMA;
extern const Schema NODE_SCHEMA;
extern const Schema FABRIC_SCHEMA;
extern const Schema TRAINING_SCHEMA;
extern const Schema RELIABILITY_SCHEMA;
extern const Schema FAILURES_SCHEMA;
extern const Schema COURSE_SCHEMA; /* of one phase */
extern const Schema DATA_SCHEMA;
extern const Schema LAW_SCHEMA;
extern const Schema PRICE_SCHEMA;
extern const Schema RENT_SCHEMA;
extern const Schema OWN_SCHEMA;
extern const Schema SERVING_SCHEMA;
extern const Schema WEIGHTS_SCHEMA;
extern const Schema SPECULATION_SCHEMA;
extern const Schema FLEET_SCHEMA;
extern const Schema DISAGGREGATED_SCHEMA;
extern const Schema CLAIM_FILE_SCHEMA;

extern const Part PARTS[];
extern const size_t PART_COUNT;

const Part *schema_part(const char *word); /* NULL: no such part */
const Field *schema_field(const Schema *schema, const char *key);

/* What can be said about a key that `schema` does not have: the nearest of its own keys, or where
 * in `root` the key exists. Empty when nothing is near. */
void schema_suggest(const Schema *root, const Schema *schema, const char *key, char *hint,
                    size_t hint_bytes);

/* The macros that tables are written with. S: struct type, M: member. */
#define GROUP_FIELDS(TABLE) .field_count = sizeof(TABLE) / sizeof((TABLE)[0]), .fields = (TABLE)
#define NUMBER_FIELD(KEY, S, M, DIMENSION, MINIMUM, MAXIMUM, FALLBACK, FLAGS, HELP)                \
    {                                                                                              \
        .key = (KEY), .kind = FIELD_NUMBER, .flags = (FLAGS), .offset = offsetof(S, M),            \
        .help = (HELP), .fallback = (FALLBACK), .dimension = (DIMENSION), .minimum = (MINIMUM),    \
        .maximum = (MAXIMUM)                                                                       \
    }
#define WORD_FIELD(KEY, S, M, WORDS, FALLBACK, HELP)                                               \
    {                                                                                              \
        .key = (KEY), .kind = FIELD_WORD, .offset = offsetof(S, M), .help = (HELP),                \
        .fallback = (FALLBACK), .words = (WORDS)                                                   \
    }
#define TEXT_FIELD(KEY, S, M, FALLBACK, FLAGS, HELP)                                               \
    {                                                                                              \
        .key = (KEY), .kind = FIELD_TEXT, .flags = (FLAGS), .offset = offsetof(S, M),              \
        .help = (HELP), .fallback = (FALLBACK), .text_bytes = sizeof(((S *)0)->M)                  \
    }
#define GROUP_FIELD(KEY, S, M, GROUP, PART, FLAGS, HELP)                                           \
    {                                                                                              \
        .key = (KEY), .kind = FIELD_GROUP, .flags = (FLAGS), .offset = offsetof(S, M),             \
        .help = (HELP), .group = (GROUP), .part = (PART)                                           \
    }
#define LIST_FIELD(KEY, KIND, S, M, COUNT, GROUP, FLAGS, HELP)                                     \
    {                                                                                              \
        .key = (KEY), .kind = (KIND), .flags = (FLAGS), .offset = offsetof(S, M), .help = (HELP),  \
        .group = (GROUP), .item_bytes = sizeof(((S *)0)->M[0]),                                    \
        .capacity = sizeof(((S *)0)->M) / sizeof(((S *)0)->M[0]), .count = offsetof(S, COUNT)      \
    }

#endif

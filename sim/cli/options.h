/* The command line as tables: verbs and options. The parser, --help, the man page, the shell
 * completion and the tests that hold them together all read these two tables. */
#ifndef SIM_CLI_OPTIONS_H
#define SIM_CLI_OPTIONS_H

#include "configs/reader/error.h"
#include "sim/engine/forecast_options.h"

#include <stddef.h>

enum { MAX_SETS = 64, MAX_OPERANDS = 64, MAX_FITS = 64 };

typedef struct CommandLine {
    const struct Verb *verb;
    size_t operand_count;
    const char *operands[MAX_OPERANDS];
    size_t set_count;
    const char *sets[MAX_SETS];
    size_t fit_count;
    const char *fits[MAX_FITS]; /* stacks */
    size_t folds;               /* of --fit; 0: none */
    int leave_out;              /* 1: one source after the other */
    int json, quiet, report, quick, help, canonical, plot;
    double fail_above; /* relative error; negative: not asked for */
    const char *split;
    PrecisionTarget precision;
    int backend; /* CalibrateBackend */
    const char *import_file;
    unsigned long long seed;
    size_t reps; /* 0: the verb's default */
    size_t jobs; /* 0: all processors */
    SimulationDetail detail;
    const char *out_directory; /* NULL: none */
    const char *database;
    const char *load, *trace, *slo; /* serve under a load; NULL: none */
    int find, skip_bad, fleet;
    double margin; /* --margin; negative: not asked for */
} CommandLine;

typedef enum CalibrateBackend { BACKEND_AUTO, BACKEND_CPU, BACKEND_CUDA } CalibrateBackend;

/* --find, by index of its choices; 0: not asked for. */
enum { FIND_NOTHING, FIND_RATE, FIND_GPUS, FIND_PRICE, FIND_RATIO };

struct Session; /* session.h */

typedef struct Verb {
    const char *name;
    const char *operands; /* as in the usage line: "SCENARIO" */
    size_t minimum_operands, maximum_operands;
    const char *summary;
    const char *description;
    const char *example;
    unsigned options; /* which groups of the option table apply */
    Status (*run)(struct Session *session);
} Verb;

/* Groups of options. */
enum {
    OPTIONS_COMMON = 1u,      /* --json --quiet --help */
    OPTIONS_INPUT = 2u,       /* --set */
    OPTIONS_SIMULATE = 4u,    /* --seed --reps --jobs --detail --quick */
    OPTIONS_OUTPUT = 8u,      /* --out --report --db */
    OPTIONS_CANONICAL = 16u,  /* --canonical */
    OPTIONS_CALIBRATE = 512u, /* --backend --quick --import --out --db --jobs --seed */
    OPTIONS_PRECISION = 64u,  /* --precision */
    OPTIONS_LOAD = 128u,      /* --load --trace --slo --find --skip-bad --fleet */
    /* --split --fit --folds --fail-above --plot --out --seed --jobs --reps */
    OPTIONS_VALIDATE = 32u
};

typedef enum OptionKind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_COUNT,
    OPTION_SEED,
    OPTION_SET,
    OPTION_FIT,
    OPTION_FRACTION, /* a double of at least 0 */
    OPTION_CHOICE,
    OPTION_PRECISION /* p95(cost.usd)=1% */
} OptionKind;

typedef struct OptionSpec {
    const char *name; /* without the dashes */
    char letter;      /* short form, 0: none */
    OptionKind kind;
    const char *argument;       /* in help: "DIR" */
    size_t offset;              /* in CommandLine */
    unsigned long long maximum; /* for OPTION_CHOICE: the value of the first choice */
    const char *choices;        /* space-separated, for OPTION_CHOICE */
    unsigned group;
    const char *help;
} OptionSpec;

extern const OptionSpec OPTION_SPECS[];
extern const size_t OPTION_SPEC_COUNT;

extern const Verb VERBS[]; /* sim/main.c */
extern const size_t VERB_COUNT;

const Verb *verb_find(const char *name);

/* argv[1] is the verb. STATUS_USAGE with what is wrong, what is allowed and the nearest valid name.
 */
Status command_line_parse(int argc, char *const *argv, CommandLine *line, Error *error);

#endif

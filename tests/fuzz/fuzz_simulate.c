/* Fuzz target of the simulations: a shipped scenario with some of its values changed is refused
 * with a message, does not fit, or gives finite results; it never crashes and never hangs.
 *
 * Byte 0 chooses the scenario. Each five that follow change one value: two choose which of all its
 * values in the order of `flopcast show`, one what is done to it, two by how much. FUZZ_SHOW=1 in
 * the environment prints the command. Runs from the folder that holds configs/. */
#include "configs/reader/reader.h"
#include "models/plan_check.h"
#include "sim/serving/serve_forecast.h"
#include "sim/serving/serve_load.h"
#include "sim/training/forecast.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_CHANGES = 6, CHANGE_BYTES = 5, SET_BYTES = 512, REPS = 2, REQUESTS = 200 };

typedef struct Trial {
    const char *name;
    char sets[MOST_CHANGES][SET_BYTES];
    size_t count;
    bool shown;
} Trial;

static void show(const Trial *trial, const char *what)
{
    if (!trial->shown)
        return;
    fprintf(stderr, "%s: flopcast ... %s", what, trial->name);
    for (size_t i = 0; i < trial->count; i++)
        fprintf(stderr, " --set '%s'", trial->sets[i]);
    fputc('\n', stderr);
}

/* A broken promise must look like a crash. */
static void require(bool promise, const Trial *trial, const char *what)
{
    if (promise)
        return;
    Trial shown = *trial;
    shown.shown = true;
    show(&shown, what);
    abort();
}

/* ---- changes -----------------------------------------------------------------------------------
 */

/* A number and what follows it: "80GiB". 0: it does not begin with one. */
static size_t split_number(const char *text, double *number)
{
    char *end;
    *number = strtod(text, &end);
    return (size_t)(end - text);
}

static void change(const ResolvedValue *value, unsigned operation, unsigned amount, char *set)
{
    static const double FACTORS[] = {0, 0.5, 0.9, 1.1, 2, 3, 10, 1e3, 1e6, 1e-3, 1e-6, -1};
    static const char *const WORDS[] = {"true",      "false",       "none",
                                        "full",      "selective",   "1f1b",
                                        "gpipe",     "interleaved", "zb_h1",
                                        "zb_2p",     "dualpipe",    "fp8",
                                        "fp16",      "bf16",        "fp4",
                                        "static",    "recompute",   "swap",
                                        "poisson",   "gamma",       "uniform",
                                        "lognormal", "zipf",        "dirichlet",
                                        "power_law", "balanced",    "auxiliary_loss",
                                        "optimal",   "owned",       "weibull",
                                        "cutlass",   "flash3"};
    double number;
    const size_t digits = split_number(value->value, &number);
    if (digits == 0 || operation % 8 == 7)
        snprintf(set, SET_BYTES, "%s=%s", value->path,
                 WORDS[amount % (sizeof WORDS / sizeof *WORDS)]);
    else if (operation % 8 == 6) /* a small whole number */
        snprintf(set, SET_BYTES, "%s=%u%s", value->path, amount % 130, value->value + digits);
    else
        snprintf(set, SET_BYTES, "%s=%.12g%s", value->path,
                 number * FACTORS[operation % (sizeof FACTORS / sizeof *FACTORS)] +
                     (operation & 64 ? amount % 16 : 0),
                 value->value + digits);
}

static void decode(const uint8_t *data, size_t size, const ResolvedList *values, Trial *trial)
{
    for (size_t at = 1; at + CHANGE_BYTES <= size && trial->count < MOST_CHANGES;
         at += CHANGE_BYTES) {
        const ResolvedValue *value =
            &values->values[(data[at] | (unsigned)data[at + 1] << 8) % values->count];
        if (strchr(value->path, '[') == NULL && !value->is_range)
            change(value, data[at + 2], data[at + 3] | (unsigned)data[at + 4] << 8,
                   trial->sets[trial->count++]);
    }
}

/* ---- simulations -------------------------------------------------------------------------------
 */

static void check_answer(Status status, const MetricSet *metrics, const Error *error,
                         const Trial *trial)
{
    require(status == STATUS_OK || error->message[0] != '\0', trial, "no message");
    show(trial, status == STATUS_OK ? "simulated" : error->message);
    for (size_t i = 0; status == STATUS_OK && i < metrics->count; i++)
        for (size_t v = 0; v < metrics->metrics[i].count; v++)
            require(isfinite(metrics->metrics[i].values[v]), trial, metrics->metrics[i].name);
}

static void simulate(const Scenario *scenario, const Trial *trial)
{
    const ForecastOptions options = {
        .seed = 1, .reps = REPS, .threads = 1, .detail = DETAIL_FOLDED};
    Error error = {0};
    if (scenario->kind == SCENARIO_TRAINING) {
        TrainForecast forecast = {0};
        const Status status = train_forecast(scenario, &options, &forecast, &error);
        check_answer(status, &forecast.metrics, &error, trial);
        train_forecast_free(&forecast);
        return;
    }
    ServeForecast forecast = {0};
    Status status = serve_forecast(scenario, &options, &forecast, &error);
    check_answer(status, &forecast.metrics, &error, trial);
    serve_forecast_free(&forecast);
    LoadForecast *load = calloc(1, sizeof *load);
    const LoadOptions load_options = {.requests = REQUESTS, .seed = 1};
    error = (Error){0};
    status = load == NULL ? STATUS_OK : serve_load(scenario, &load_options, load, &error);
    require(status == STATUS_OK || error.message[0] != '\0', trial, "no message");
    show(trial, status == STATUS_OK ? "loaded" : error.message);
    require(load == NULL || status != STATUS_OK || isfinite(load->point.requests_per_s), trial,
            "requests_per_s");
    free(load);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const NAMES[] = {"gpt4-serve-a100",
                                        "gpt4-a100",
                                        "llama3-70b-disaggregated",
                                        "gpt4-serve-a100-drafts",
                                        "llama3-405b",
                                        "gpt4-h100-fp8",
                                        "bloom-176b",
                                        "gpt4-course"};
    static const ConfigPaths PATHS = {.root = "configs"};
    if (size == 0)
        return 0;
    gsl_set_error_handler_off();
    Scenario *scenario = calloc(1, sizeof *scenario);
    ErrorList *errors = calloc(1, sizeof *errors);
    Trial *trial = calloc(1, sizeof *trial);
    ResolvedList values = {0};
    if (scenario == NULL || errors == NULL || trial == NULL)
        goto cleanup;
    trial->name = NAMES[data[0] % (sizeof NAMES / sizeof *NAMES)];
    require(scenario_read(&PATHS, trial->name, NULL, 0, scenario, &values, NULL, errors) ==
                STATUS_OK,
            trial, "the shipped scenario is not read");
    decode(data, size, &values, trial);
    trial->shown = getenv("FUZZ_SHOW") != NULL;
    show(trial, "trial");
    const char *sets[MOST_CHANGES];
    for (size_t i = 0; i < trial->count; i++)
        sets[i] = trial->sets[i];
    Error error = {0};
    if (scenario_read(&PATHS, trial->name, sets, trial->count, scenario, NULL, NULL, errors) !=
            STATUS_OK ||
        plan_check(scenario, &error) != STATUS_OK) {
        show(trial, error.message[0] != '\0' ? error.message : errors->errors[0].message);
        goto cleanup;
    }
    simulate(scenario, trial);
cleanup:
    resolved_list_free(&values);
    free(trial);
    free(errors);
    free(scenario);
    return 0;
}

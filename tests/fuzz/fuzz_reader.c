/* Fuzz target of the configuration reader. The first byte chooses what the rest is: 'S' a scenario,
 * 'C' a claim file, '=' a --set on top of a shipped scenario; any other byte counts modulo 3 in
 * this order. Runs from the folder that holds configs/. */
#include "configs/reader/claims.h"
#include "configs/reader/reader.h"
#include "configs/reader/sample.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise of the reader must look like a crash. */
static void require(bool promise)
{
    if (!promise)
        abort();
}

static void check_errors(Status status, const ErrorList *errors)
{
    require((status == STATUS_OK) == (errors->total == 0));
    require(status == STATUS_OK || errors->count > 0);
    for (size_t i = 0; i < errors->count; i++) {
        char text[2048];
        require(errors->errors[i].message[0] != '\0');
        error_format(&errors->errors[i], text, sizeof text);
        require(strlen(text) < sizeof text);
    }
}

static void check_scenario(const Scenario *scenario, const char *sha256)
{
    static const double QUANTILES[] = {1e-9, 0.5, 1 - 1e-9};
    char *canonical = NULL;
    Error error;
    require(strlen(sha256) == SHA256_HEX_BYTES - 1);
    require(scenario->uncertain_count <= MAX_UNCERTAIN);
    require(scenario_canonical(scenario, &canonical, &error) == STATUS_OK);
    free(canonical);
    for (size_t q = 0; q < sizeof QUANTILES / sizeof QUANTILES[0]; q++) {
        double uniforms[MAX_UNCERTAIN];
        Scenario drawn;
        for (size_t i = 0; i < MAX_UNCERTAIN; i++)
            uniforms[i] = QUANTILES[q];
        scenario_sample(scenario, uniforms, &drawn);
        for (size_t i = 0; i < scenario->uncertain_count; i++) {
            const UncertainInput *input = &scenario->uncertain[i];
            double value = scenario_field(&drawn, input);
            require(isfinite(value));
            require(input->is_integer_enum || (value >= input->minimum && value <= input->maximum));
        }
    }
}

static void try_scenario(const char *text, size_t bytes, const char *const *sets, size_t set_count)
{
    static const ConfigPaths PATHS = {.root = "configs"};
    Scenario *scenario = malloc(sizeof *scenario);
    ErrorList *errors = calloc(1, sizeof *errors);
    ResolvedList resolved = {0};
    char sha256[SHA256_HEX_BYTES];
    if (scenario != NULL && errors != NULL) {
        Status status = scenario_read_text(&PATHS, "fuzz.yaml", text, bytes, sets, set_count,
                                           scenario, &resolved, sha256, errors);
        check_errors(status, errors);
        if (status == STATUS_OK)
            check_scenario(scenario, sha256);
        resolved_list_free(&resolved);
    }
    free(scenario);
    free(errors);
}

static void try_claims(const char *text, size_t bytes)
{
    ClaimFile *file = malloc(sizeof *file);
    ErrorList *errors = calloc(1, sizeof *errors);
    char sha256[SHA256_HEX_BYTES];
    if (file != NULL && errors != NULL)
        check_errors(claims_read_text("fuzz.yaml", text, bytes, file, sha256, errors), errors);
    free(file);
    free(errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char CHOICES[] = {'S', 'C', '='};
    static const char BASE[] = "schema: 1\nbase: gpt4-a100\n";
    if (size == 0)
        return 0;
    const char *known = memchr(CHOICES, data[0], sizeof CHOICES);
    size_t choice = known != NULL ? (size_t)(known - CHOICES) : data[0] % sizeof CHOICES;
    char *rest = malloc(size); /* of its own, so that reading past its end is seen */
    if (rest == NULL)
        return 0;
    memcpy(rest, data + 1, size - 1);
    rest[size - 1] = '\0';
    const char *set = rest;
    if (choice == 0)
        try_scenario(rest, size - 1, NULL, 0);
    else if (choice == 1)
        try_claims(rest, size - 1);
    else
        try_scenario(BASE, sizeof BASE - 1, &set, 1);
    free(rest);
    return 0;
}

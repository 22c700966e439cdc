/* flopcast-cuda: measures the reference layer and its parts on one GPU and writes the records of
 * hw/calibration/records.h. A program of its own, so that the planner needs no CUDA and a device
 * that fails does not fail the planner; the same binary is what one carries to a GPU machine.
 *
 *   flopcast-cuda [--quick] [--seed N] [--device N] [--threads N] [--list] [--check]
 *
 * --check compares the layer on this device with the reference and measures nothing. --threads is
 * taken for the sake of one protocol and means nothing here.
 */
#include "hw/calibration/cuda/sweep.h"
#include "hw/calibration/records.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

extern "C" const char PROGRAM_VERSION[];

struct Arguments {
    bool quick, list, check;
    unsigned long long seed, device, threads;
};

/* A whole number of at most `high`. */
static bool parse_number(const char *text, unsigned long long high, unsigned long long *value)
{
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9' || strlen(text) > 19)
        return false;
    *value = strtoull(text, &end, 10);
    return *end == '\0' && *value <= high;
}

static bool parse(int count, char **words, Arguments *arguments)
{
    const struct {
        const char *name;
        bool *value;
    } flags[] = {{"--quick", &arguments->quick},
                 {"--list", &arguments->list},
                 {"--check", &arguments->check}};
    const struct {
        const char *name;
        unsigned long long *value, high;
    } numbers[] = {{"--seed", &arguments->seed, ~0ULL},
                   {"--device", &arguments->device, 1023},
                   {"--threads", &arguments->threads, 1024}};
    for (int i = 1; i < count; ++i) {
        bool known = false;
        for (size_t j = 0; j < 3 && !known; ++j) {
            known = strcmp(words[i], flags[j].name) == 0;
            *flags[j].value |= known;
        }
        for (size_t j = 0; j < 3 && !known; ++j)
            if (strcmp(words[i], numbers[j].name) == 0 && i + 1 < count &&
                parse_number(words[i + 1], numbers[j].high, numbers[j].value)) {
                known = true;
                ++i;
            }
        if (!known) {
            fprintf(stderr,
                    "flopcast-cuda: '%.60s' is not understood\n"
                    "usage: flopcast-cuda [--quick] [--seed N] [--device 0..1023] [--threads N] "
                    "[--list] [--check]\n",
                    words[i]);
            return false;
        }
    }
    return true;
}

static void stamp(const Arguments *arguments, CalProvenance *provenance)
{
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL)
        strftime(provenance->utc, sizeof provenance->utc, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(provenance->command, sizeof provenance->command,
             "flopcast-cuda%s --device %llu --seed %llu", arguments->quick ? " --quick" : "",
             arguments->device, arguments->seed);
    snprintf(provenance->version, sizeof provenance->version, "%s", PROGRAM_VERSION);
    snprintf(provenance->note, sizeof provenance->note,
             "times between events; cold: twice the second-level cache overwritten before");
}

/* The exit status of records.h for what went wrong. */
static int complain(Status status, const Error *error)
{
    fprintf(stderr, "flopcast-cuda: %s\n", error->message);
    return status == STATUS_NO        ? CAL_EXIT_NO_DEVICE
           : status == STATUS_INVALID ? CAL_EXIT_WRONG
                                      : CAL_EXIT_FAILED;
}

int main(int count, char **words)
{
    Arguments arguments = {};
    CalProvenance provenance;
    Error error;
    size_t points = 0;
    arguments.seed = 1;
    if (!parse(count, words, &arguments))
        return CAL_EXIT_USAGE;
    Status status = cuda_device_open((int)arguments.device, &provenance, &error);
    if (status != STATUS_OK)
        return complain(status, &error);
    stamp(&arguments, &provenance);
    if (cal_write_provenance(stdout, &provenance) != 0)
        return CAL_EXIT_FAILED;
    if (!arguments.list)
        status = cuda_self_check(&error);
    if (status == STATUS_OK && !arguments.list && !arguments.check)
        status = cuda_sweep_run(arguments.quick ? &CUDA_SWEEP_QUICK : &CUDA_SWEEP_FULL,
                                arguments.seed, stdout, &points, &error);
    if (status != STATUS_OK)
        return complain(status, &error);
    return cal_write_end(stdout, points) == 0 ? CAL_EXIT_DONE : CAL_EXIT_FAILED;
}

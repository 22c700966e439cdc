/* flopcast-cpu: measures the reference layer and its parts on this machine's CPU and writes the
 * records of hw/calibration/records.h. A program of its own, so that neither OpenBLAS nor OpenMP is
 * part of the planner.
 *
 *   flopcast-cpu [--quick] [--threads N] [--seed N] [--list]
 */
#include "hw/calibration/cpu/blas_core.h"
#include "hw/calibration/cpu/sweep.h"
#include "reports/provenance.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct Arguments {
    int quick, list, threads;
    unsigned long long seed;
} Arguments;

enum { MOST_THREADS = 1024 };

/* A whole number from `low` to `high`. */
static int parse_number(const char *text, unsigned long long low, unsigned long long high,
                        unsigned long long *value)
{
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return 0;
    *value = strtoull(text, &end, 10);
    return *end == '\0' && *value >= low && *value <= high;
}

static int parse(int count, char **words, Arguments *arguments)
{
    *arguments = (Arguments){.threads = 1, .seed = 1};
    for (int i = 1; i < count; ++i) {
        unsigned long long number = 0;
        const char *next = i + 1 < count ? words[i + 1] : NULL;
        if (strcmp(words[i], "--quick") == 0) {
            arguments->quick = 1;
        } else if (strcmp(words[i], "--list") == 0) {
            arguments->list = 1;
        } else if (strcmp(words[i], "--threads") == 0 &&
                   parse_number(next, 1, MOST_THREADS, &number)) {
            arguments->threads = (int)number;
            ++i;
        } else if (strcmp(words[i], "--seed") == 0 &&
                   parse_number(next, 0, ~0ULL, &arguments->seed)) {
            ++i;
        } else {
            fprintf(stderr,
                    "flopcast-cpu: '%.60s' is not understood\n"
                    "usage: flopcast-cpu [--quick] [--threads 1..%d] [--seed N] [--list]\n",
                    words[i], MOST_THREADS);
            return 0;
        }
    }
    return 1;
}

/* The text behind the colon of the first line of a file that starts with `key`. */
static void read_fact(const char *path, const char *key, char *value, size_t value_bytes)
{
    char line[512];
    FILE *file = fopen(path, "r");
    value[0] = '\0';
    while (file != NULL && value[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) == 0 && colon != NULL)
            snprintf(value, value_bytes, "%s", colon + 1 + strspn(colon + 1, " \t"));
        value[strcspn(value, "\n")] = '\0';
    }
    if (file != NULL)
        fclose(file);
}

static void describe(const Arguments *arguments, CalProvenance *provenance)
{
    double load = -1;
    char clock[64];
    const time_t now = time(NULL);
    struct tm utc;
    *provenance = (CalProvenance){.device_class = CAL_CPU, .threads = arguments->threads};
    read_fact("/proc/cpuinfo", "model name", provenance->device, sizeof provenance->device);
    if (provenance->device[0] == '\0')
        snprintf(provenance->device, sizeof provenance->device, "CPU of unknown name");
    snprintf(provenance->backend, sizeof provenance->backend, "cpu");
    snprintf(provenance->library, sizeof provenance->library, "%s; core %s", openblas_get_config(),
             openblas_get_corename());
    read_fact("/proc/cpuinfo", "cpu MHz", clock, sizeof clock);
    if (clock[0] != '\0')
        snprintf(provenance->clocks, sizeof provenance->clocks, "%s MHz", clock);
    provenance->host_load = getloadavg(&load, 1) == 1 ? load : -1;
    if (gmtime_r(&now, &utc) != NULL)
        strftime(provenance->utc, sizeof provenance->utc, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(provenance->command, sizeof provenance->command,
             "flopcast-cpu%s --threads %d --seed %llu", arguments->quick ? " --quick" : "",
             arguments->threads, arguments->seed);
    snprintf(provenance->version, sizeof provenance->version, "%s", PROGRAM_VERSION);
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const int length = snprintf(provenance->note, sizeof provenance->note, "%s; weights rotated",
                                arguments->threads == 1 ? "times are CPU time of one thread"
                                                        : "times are wall time");
    if (length > 0 && processors > 0 && load + arguments->threads > (double)processors)
        snprintf(provenance->note + length, sizeof provenance->note - (size_t)length,
                 "; the machine was loaded: %.1f programs ran on %ld processors", load, processors);
}

int main(int count, char **words)
{
    Arguments arguments;
    CalProvenance provenance;
    Sampler sampler;
    if (!parse(count, words, &arguments))
        return CAL_EXIT_USAGE;
    blas_core_choose(words);
    describe(&arguments, &provenance);
    if (cal_write_provenance(stdout, &provenance) != 0)
        return CAL_EXIT_FAILED;
    sampler_start(&sampler, stdout, arguments.threads, arguments.quick,
                  sweep_count(arguments.quick, arguments.threads));
    if (!arguments.list && sweep_run(&sampler, arguments.seed) != 0) {
        fprintf(stderr, "flopcast-cpu: out of memory\n");
        return CAL_EXIT_FAILED;
    }
    if (sampler_too_disturbed(&sampler)) {
        fprintf(stderr,
                "flopcast-cpu: other programs disturbed %zu of %zu samples: measure again when the "
                "machine is idle, or with fewer threads\n",
                sampler.disturbed, sampler.kept + sampler.disturbed);
        return CAL_EXIT_FAILED;
    }
    return cal_write_end(stdout, sampler.points) == 0 ? CAL_EXIT_DONE : CAL_EXIT_FAILED;
}

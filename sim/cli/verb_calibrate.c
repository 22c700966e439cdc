#include "sim/cli/verbs.h"

#include "reports/calibration.h"
#include "reports/files.h"
#include "reports/store.h"
#include "sim/cli/helper_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Backend {
    const char *name, *program;
    const char *to_build;
} Backend;

static const Backend CPU = {"cpu", "flopcast-cpu", "make"};
static const Backend CUDA = {"cuda", "flopcast-cuda", "make cuda"};

/* What the program could not do; STATUS_NO: there is no such device or program, and `reason` says
 * so. */
static Status judge(const Backend *backend, const HelperResult *result, char *reason,
                    size_t reason_bytes, Error *error)
{
    const char *said = result->complaint[0] != '\0' ? result->complaint : "it gave no reason";
    switch (result->exit_status) {
    case CAL_EXIT_DONE:
        return STATUS_OK;
    case HELPER_MISSING:
        snprintf(reason, reason_bytes,
                 "%s is neither beside this program nor on PATH ('%s' builds it)", backend->program,
                 backend->to_build);
        return STATUS_NO;
    case CAL_EXIT_NO_DEVICE:
        snprintf(reason, reason_bytes, "%.400s", said);
        return STATUS_NO;
    case CAL_EXIT_WRONG:
        return error_set(error, STATUS_ENVIRONMENT, "%s computed a wrong result: %.300s",
                         backend->program, said);
    default:
        return error_set(error, STATUS_ENVIRONMENT, "%s failed (exit %d): %.300s", backend->program,
                         result->exit_status, said);
    }
}

/* Measures with one backend. STATUS_NO as above. */
static Status measure(Session *session, const Backend *backend, MeasuredDevices *devices,
                      Calibration *calibration, char *reason, size_t reason_bytes, Error *error)
{
    char threads[24], seed[24];
    const char *arguments[HELPER_ARGUMENTS];
    size_t count = 0;
    HelperResult result;
    snprintf(threads, sizeof threads, "%zu", session->line.jobs > 0 ? session->line.jobs : 1);
    snprintf(seed, sizeof seed, "%llu", session->line.seed);
    if (session->line.quick)
        arguments[count++] = "--quick";
    arguments[count++] = "--threads";
    arguments[count++] = threads;
    arguments[count++] = "--seed";
    arguments[count++] = seed;
    Status status = helper_run(session, backend->program, arguments, count, &result, error);
    if (status == STATUS_OK)
        status = judge(backend, &result, reason, reason_bytes, error);
    if (status == STATUS_OK && result.text == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "%s wrote nothing", backend->program);
    if (status == STATUS_OK) {
        const CalCatalogue catalogue = measured_catalogue(devices);
        status = cal_points_read_text(backend->program, result.text, result.bytes, &catalogue,
                                      &calibration->points, error);
        if (status == STATUS_INVALID) /* our own program's records: no file of the user's */
            error->status = status = STATUS_ENVIRONMENT;
    }
    if (status == STATUS_OK)
        snprintf(calibration->backend, sizeof calibration->backend, "%s", backend->name);
    free(result.text);
    return status;
}

static Status measure_here(Session *session, MeasuredDevices *devices, Calibration *calibration,
                           Error *error)
{
    char reason[ERROR_TEXT_BYTES] = "";
    const CalibrateBackend wanted = (CalibrateBackend)session->line.backend;
    Status status = STATUS_NO;
    if (wanted != BACKEND_CPU)
        status = measure(session, &CUDA, devices, calibration, reason, sizeof reason, error);
    if (status == STATUS_NO && wanted == BACKEND_CUDA) {
        error_set(error, STATUS_ENVIRONMENT, "cannot measure a GPU: %.400s", reason);
        error_hint(error, "--backend cpu measures this machine's CPU");
        return STATUS_ENVIRONMENT;
    }
    if (status != STATUS_NO)
        return status;
    if (wanted == BACKEND_AUTO) {
        snprintf(calibration->reason, sizeof calibration->reason,
                 "the CPU was measured, whose profile serves no GPU: %.400s", reason);
        session_note(session, "%s", calibration->reason);
    }
    status = measure(session, &CPU, devices, calibration, reason, sizeof reason, error);
    if (status == STATUS_NO)
        status = error_set(error, STATUS_ENVIRONMENT, "cannot measure the CPU: %.400s", reason);
    return status;
}

static Status store(const Session *session, const Calibration *calibration,
                    const Provenance *provenance, Error *error)
{
    Store *opened = NULL;
    MetricSet metrics;
    TextFile table = {0};
    char run_id[13];
    metrics_init(&metrics);
    Status status = metrics_calibration(calibration, &metrics, error);
    if (status == STATUS_OK)
        status = files_begin(&table, error);
    if (status == STATUS_OK) {
        cal_points_csv(table.out, &calibration->points);
        if (fflush(table.out) != 0)
            status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    if (status == STATUS_OK)
        status = store_open(session->line.database, &opened, error);
    if (status == STATUS_OK)
        status = store_save(opened, provenance, table.text, &metrics, run_id, error);
    store_close(opened);
    files_abandon(&table);
    metrics_free(&metrics);
    if (status == STATUS_OK)
        session_note(session, "stored as run %s in %s", run_id, session->line.database);
    return status;
}

static Status write_files(const Session *session, const Calibration *calibration,
                          const Provenance *provenance, const char *json, Error *error)
{
    const char *directory = session->line.out_directory;
    TextFile report = {0};
    Status status = files_make_directory(directory, error);
    if (status == STATUS_OK)
        status = files_write_text(directory, "calibration.json", json, error);
    if (status == STATUS_OK)
        status = files_begin(&report, error);
    if (status == STATUS_OK) {
        terminal_calibration(report.out, calibration, provenance);
        status = files_finish(&report, directory, "report.txt", error);
    }
    if (status == STATUS_OK)
        status = files_calibration(directory, calibration, error);
    if (status != STATUS_OK)
        return status;
    if (plot_calibration(directory, calibration, provenance, error) != STATUS_OK)
        session_note(session, "%s", error->message);
    for (size_t i = 0; i < calibration->profile_count; i++)
        session_note(session,
                     "%s/%s.yaml: use it with --set hardware.gpu=%s "
                     "--set hardware.gpu.calibration=%s/%s.yaml",
                     directory, calibration->profiles[i].name, calibration->profiles[i].gpu,
                     directory, calibration->profiles[i].name);
    return STATUS_OK;
}

static Status publish(Session *session, const Calibration *calibration, Error *error)
{
    const CommandLine *line = &session->line;
    Provenance provenance = {.verb = line->verb->name,
                             .scenario = line->import_file != NULL
                                             ? line->import_file
                                             : calibration->points.provenance.device,
                             .seed = line->seed,
                             .reps = 1};
    memcpy(provenance.sha256, calibration->points.sha256, sizeof provenance.sha256);
    char *json = json_calibration(calibration, &provenance, error);
    if (json == NULL)
        return error->status;
    if (line->json)
        fputs(json, stdout);
    else
        terminal_calibration(stdout, calibration, &provenance);
    Status status = session_flush(session);
    if (status == STATUS_OK && line->out_directory != NULL)
        status = write_files(session, calibration, &provenance, json, error);
    if (status == STATUS_OK && line->database != NULL)
        status = store(session, calibration, &provenance, error);
    free(json);
    return status;
}

Status verb_calibrate(Session *session)
{
    Error error = {0};
    MeasuredDevices *devices = calloc(1, sizeof *devices);
    Calibration *calibration = calloc(1, sizeof *calibration);
    Status status = devices != NULL && calibration != NULL
                        ? STATUS_OK
                        : error_set(&error, STATUS_ENVIRONMENT, "out of memory");
    if (status == STATUS_OK && session->line.import_file != NULL &&
        session->line.backend != BACKEND_AUTO)
        status = error_set(&error, STATUS_USAGE, "--import measures nothing: no --backend with it");
    if (status == STATUS_OK)
        status = measured_devices_start(devices, &session->paths, &error);
    if (status == STATUS_OK && session->line.import_file != NULL) {
        snprintf(calibration->backend, sizeof calibration->backend, "import");
        const CalCatalogue catalogue = measured_catalogue(devices);
        status =
            cal_points_read(session->line.import_file, &catalogue, &calibration->points, &error);
    } else if (status == STATUS_OK) {
        status = measure_here(session, devices, calibration, &error);
    }
    if (status == STATUS_OK)
        status = calibration_fit(calibration, devices, &error);
    if (status == STATUS_OK)
        status = publish(session, calibration, &error);
    if (status != STATUS_OK && error.message[0] != '\0')
        session_fail(session, &error);
    if (calibration != NULL)
        calibration_free(calibration);
    if (devices != NULL)
        measured_devices_free(devices);
    free(calibration);
    free(devices);
    return status;
}

/* The workbook: opening, its sheets in order, saving. */
#include "reports/workbook_book.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 2020-01-01: a workbook's creation date is part of its bytes, so it must not be the time of the
 * run. */
static const long long default_created = 1577836800;

enum { PATH_BYTES = 4096 };

static void set_properties(Book *book)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char title[TITLE_BYTES];
    char author[] = "flopcast";
    char comments[256];
    long long created = epoch != NULL ? strtoll(epoch, NULL, 10) : default_created;
    snprintf(title, sizeof title, "%s", book->title);
    snprintf(comments, sizeof comments, "flopcast %s, input %s, seed %llu, replications %zu",
             PROGRAM_VERSION, book->provenance->sha256, book->provenance->seed,
             book->provenance->reps);
    lxw_doc_properties properties = {.title = title,
                                     .author = author,
                                     .comments = comments,
                                     .created = (time_t)(created > 0 ? created : default_created)};
    if (book->status == STATUS_OK)
        workbook_set_properties(book->workbook, &properties);
}

static void fill(Book *book)
{
    CostInputs inputs = {0};
    lxw_worksheet *summary = book_sheet(book, "Summary", 1);
    lxw_worksheet *entries = book_sheet(book, "Inputs", 0);
    lxw_worksheet *cost = book_sheet(book, "Cost", 1);
    lxw_worksheet *claims = book->audit != NULL ? book_sheet(book, "Claims", 0) : NULL;
    lxw_worksheet *provenance = book_sheet(book, "Provenance", 0);
    if (book->status != STATUS_OK)
        return;
    book_summary(book, summary);
    book_inputs(book, entries, &inputs);
    book_cost(book, cost, &inputs);
    if (claims != NULL)
        book_claims(book, claims);
    book_provenance(book, provenance);
}

/* The library reports a file that it cannot write on stderr; finding that out first keeps it
 * silent. */
static Status probe(const char *temporary, Error *error)
{
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return error_set(error, STATUS_ENVIRONMENT, "cannot write the workbook '%s'", temporary);
    close(descriptor);
    return STATUS_OK;
}

Book book_of_audit(const AuditResult *audit, const ResolvedList *inputs,
                   const Provenance *provenance)
{
    Book book = {
        .title = audit->file->title, .audit = audit, .inputs = inputs, .provenance = provenance};
    const AuditScenario *headline = audit->headline;
    if (headline != NULL && headline->scenario.kind == SCENARIO_TRAINING && !headline->infeasible)
        book.run = (BookRun){.name = headline->spec->name,
                             .scenario = &headline->scenario,
                             .train = &headline->train,
                             .metrics = headline->metrics};
    book.driver_count = audit->driver_count;
    memcpy(book.drivers, audit->drivers, sizeof book.drivers);
    return book;
}

Book book_of_train(const Scenario *scenario, const TrainForecast *forecast,
                   const ResolvedList *inputs, const Provenance *provenance)
{
    Book book = {.title = scenario->title,
                 .run = {.scenario = scenario, .train = forecast, .metrics = &forecast->metrics},
                 .inputs = inputs,
                 .provenance = provenance};
    book.driver_count = drivers_find(book.run.metrics, "run.days", book.drivers, MAX_DRIVERS);
    return book;
}

Book book_of_serve(const Scenario *scenario, const MetricSet *metrics, const ResolvedList *inputs,
                   const Provenance *provenance)
{
    return (Book){.title = scenario->title,
                  .run = {.scenario = scenario, .metrics = metrics},
                  .inputs = inputs,
                  .provenance = provenance};
}

Status book_write(Book *book, const char *directory, const char *name, Error *error)
{
    char temporary[PATH_BYTES];
    Status status = files_temporary(directory, name, temporary, sizeof temporary, error);
    if (status == STATUS_OK)
        status = probe(temporary, error);
    if (status != STATUS_OK)
        return status;
    book->error = error;
    book->workbook = workbook_new(temporary);
    if (book->workbook == NULL) {
        files_discard(temporary);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    book_make_formats(book);
    set_properties(book);
    if (book->status == STATUS_OK && book->run.scenario != NULL && book->run.train == NULL)
        book_serving(book);
    else if (book->status == STATUS_OK)
        fill(book);
    /* closing also frees: it must happen after a failure too */
    lxw_error code = workbook_close(book->workbook);
    if (book->status == STATUS_OK && code != LXW_NO_ERROR)
        book->status = error_set(error, STATUS_ENVIRONMENT, "cannot write the workbook: %s",
                                 lxw_strerror(code));
    if (book->status != STATUS_OK) {
        files_discard(temporary);
        return book->status;
    }
    return files_commit(directory, name, temporary, error);
}

Status workbook_audit(const char *directory, const char *name, const AuditResult *audit,
                      const ResolvedList *inputs, const Provenance *provenance, Error *error)
{
    Book book = book_of_audit(audit, inputs, provenance);
    return book_write(&book, directory, name, error);
}

Status workbook_train(const char *directory, const char *name, const Scenario *scenario,
                      const TrainForecast *forecast, const ResolvedList *inputs,
                      const Provenance *provenance, Error *error)
{
    Book book = book_of_train(scenario, forecast, inputs, provenance);
    return book_write(&book, directory, name, error);
}

Status workbook_serve(const char *directory, const char *name, const Scenario *scenario,
                      const MetricSet *metrics, const struct LoadForecast *load,
                      const ResolvedList *inputs, const Provenance *provenance, Error *error)
{
    Book book = book_of_serve(scenario, metrics, inputs, provenance);
    book.run.load = load;
    return book_write(&book, directory, name, error);
}

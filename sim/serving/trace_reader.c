#include "sim/serving/trace_reader.h"

#include "configs/reader/csv.h"
#include "configs/reader/suggest.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 1 << 18, MOST_CELLS = 64, MOST_NAMES = 4 };

typedef enum TraceColumn { COLUMN_TIME, COLUMN_PROMPT, COLUMN_OUTPUT, COLUMNS } TraceColumn;

static const struct {
    const char *what;
    const char *names[MOST_NAMES];
} KNOWN[COLUMNS] = {
    [COLUMN_TIME] = {"time of arrival", {"arrival_s", "t_s", "timestamp_ms", "TIMESTAMP"}},
    [COLUMN_PROMPT] = {"prompt length", {"input_tokens", "input_length", "ContextTokens"}},
    [COLUMN_OUTPUT] = {"answer length", {"output_tokens", "output_length", "GeneratedTokens"}},
};
enum { NAME_MILLISECONDS = 2, NAME_DATE = 3 };

struct TraceReader {
    FILE *file;
    char path[ERROR_PATH_BYTES];
    int skip_bad;
    int line;
    size_t column[COLUMNS]; /* cell of a row */
    int has_hashes;
    size_t hashes;    /* cell of hash_ids */
    PrefixTree *tree; /* NULL: hashes are passed over */
    size_t time_name; /* which of KNOWN's names of a time it is */
    int started;
    double first_s, last_s;
    uint64_t skipped;
    size_t cell_count;
    char *cells[MOST_CELLS];
    char text[LINE_BYTES];
};

static Status fail(const TraceReader *reader, size_t cell, Error *error, const char *message,
                   const char *value)
{
    error_set(error, STATUS_INVALID, "%s%s%.40s%s", message, value ? ": '" : "", value ? value : "",
              value ? "'" : "");
    snprintf(error->file, sizeof error->file, "%s", reader->path);
    error->line = reader->line;
    error->column = cell < reader->cell_count ? (int)(reader->cells[cell] - reader->text) + 1 : 1;
    return STATUS_INVALID;
}

/* One line without its end; `more` is 0 behind the last one. Too long a line is read to its end and
 * left empty, with `whole` 0. */
static Status read_line(TraceReader *reader, int *more, int *whole, Error *error)
{
    *whole = 1;
    *more = fgets(reader->text, LINE_BYTES, reader->file) != NULL;
    if (!*more) {
        if (ferror(reader->file))
            return error_set(error, STATUS_ENVIRONMENT, "cannot read %s: %s", reader->path,
                             strerror(errno));
        return STATUS_OK;
    }
    reader->line++;
    size_t length = strlen(reader->text);
    if (length + 1 == LINE_BYTES && reader->text[length - 1] != '\n') {
        int c;
        while ((c = getc(reader->file)) != EOF && c != '\n')
            ;
        *whole = 0;
        length = 0;
    }
    while (length > 0 && (reader->text[length - 1] == '\n' || reader->text[length - 1] == '\r'))
        length--;
    reader->text[length] = '\0';
    return STATUS_OK;
}

/* Cuts the line at its commas; quotes around a cell are taken off. Cells beyond MOST_CELLS are left
 * out. */
static void split(TraceReader *reader)
{
    char *at = reader->text;
    reader->cell_count = 0;
    while (reader->cell_count < MOST_CELLS) {
        const int quoted = *at == '"';
        char *const start = at + quoted;
        char *const end = quoted ? strchr(start, '"') : NULL;
        char *const comma = strchr(quoted && end != NULL ? end : at, ',');
        reader->cells[reader->cell_count++] = start;
        if (end != NULL)
            *end = '\0';
        if (comma == NULL)
            return;
        *comma = '\0';
        at = comma + 1;
    }
}

static Status find_columns(TraceReader *reader, Error *error)
{
    for (size_t kind = 0; kind < COLUMNS; kind++) {
        Suggestion nearest = {.word = ""};
        size_t name = MOST_NAMES, cell = 0;
        for (size_t i = 0; i < MOST_NAMES && KNOWN[kind].names[i] != NULL; i++)
            for (size_t j = 0; j < reader->cell_count && name == MOST_NAMES; j++)
                if (strcmp(reader->cells[j], KNOWN[kind].names[i]) == 0) {
                    name = i;
                    cell = j;
                }
        if (name == MOST_NAMES) {
            char message[ERROR_TEXT_BYTES];
            snprintf(message, sizeof message, "no column with the %s", KNOWN[kind].what);
            fail(reader, 0, error, message, NULL);
            for (size_t i = 0; i < MOST_NAMES && KNOWN[kind].names[i] != NULL; i++)
                for (size_t j = 0; j < reader->cell_count; j++) {
                    nearest.word = reader->cells[j];
                    suggest_offer(&nearest, KNOWN[kind].names[i]);
                }
            if (nearest.best != NULL)
                error_hint(error, "did you mean '%s'?", nearest.best);
            else
                error_hint(error, "one of %s, %s, %s", KNOWN[kind].names[0], KNOWN[kind].names[1],
                           KNOWN[kind].names[2]);
            return STATUS_INVALID;
        }
        reader->column[kind] = cell;
        if (kind == COLUMN_TIME)
            reader->time_name = name;
    }
    for (size_t j = 0; j < reader->cell_count; j++)
        if (strcmp(reader->cells[j], "hash_ids") == 0) {
            reader->has_hashes = 1;
            reader->hashes = j;
        }
    return STATUS_OK;
}

Status trace_open(const char *path, int skip_bad, TraceReader **opened, Error *error)
{
    TraceReader *reader = calloc(1, sizeof *reader);
    int more = 0, whole = 0;

    *opened = NULL;
    if (reader == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    snprintf(reader->path, sizeof reader->path, "%s", path);
    reader->skip_bad = skip_bad;
    reader->file = fopen(path, "r");
    Status status = STATUS_OK;
    if (reader->file == NULL)
        status =
            error_set(error, STATUS_ENVIRONMENT, "cannot open %.200s: %s", path, strerror(errno));
    if (status == STATUS_OK)
        status = read_line(reader, &more, &whole, error);
    if (status == STATUS_OK && !more)
        status = fail(reader, 0, error, "the trace is empty", NULL);
    if (status == STATUS_OK) {
        /* A byte order mark is no part of the first name. */
        if (strncmp(reader->text, "\xef\xbb\xbf", 3) == 0)
            memmove(reader->text, reader->text + 3, strlen(reader->text + 3) + 1);
        split(reader);
        status = find_columns(reader, error);
    }
    if (status != STATUS_OK) {
        trace_close(reader);
        return status;
    }
    *opened = reader;
    return STATUS_OK;
}

void trace_share(TraceReader *reader, PrefixTree *tree)
{
    reader->tree = tree;
}

void trace_close(TraceReader *reader)
{
    if (reader == NULL)
        return;
    if (reader->file != NULL)
        fclose(reader->file);
    free(reader);
}

uint64_t trace_rows_skipped(const TraceReader *reader)
{
    return reader->skipped;
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar (Hinnant, days_from_civil). */
static double days_from_civil(int year, int month, int day)
{
    year -= month <= 2;
    const int era = year / 400;
    const int year_of_era = year - era * 400;
    const int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097.0 + day_of_era - 719468;
}

/* `count` digits at `text`, or -1. */
static int digits(const char *text, size_t count)
{
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = 10 * value + (text[i] - '0');
    }
    return value;
}

/* "2023-11-16 18:17:03.9799600", a T in place of the blank, with or without Z or +00:00. */
static int parse_date(const char *text, double *seconds)
{
    if (strnlen(text, 19) < 19)
        return 0;
    const int year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
    const int hour = digits(text + 11, 2), minute = digits(text + 14, 2);
    const int whole = digits(text + 17, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || whole < 0 || whole > 60 || text[4] != '-' || text[7] != '-' ||
        (text[10] != ' ' && text[10] != 'T') || text[13] != ':' || text[16] != ':')
        return 0;
    const char *at = text + 19;
    double fraction = 0, scale = 0.1;
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10)
            fraction += scale * (*at - '0');
    if (*at != '\0' && strcmp(at, "Z") != 0 && strcmp(at, "+00:00") != 0)
        return 0;
    *seconds = 86400 * days_from_civil(year, month, day) + 3600.0 * hour + 60.0 * minute + whole +
               fraction;
    return 1;
}

static Status parse_tokens(const TraceReader *reader, TraceColumn kind, double *tokens,
                           Error *error)
{
    const size_t cell = reader->column[kind];
    char *const text = reader->cells[cell];
    if (!csv_number(text, tokens))
        return fail(reader, cell, error, "not a number of tokens", text);
    /* An empty prompt or answer still takes a pass: traces hold a few. */
    if (!(*tokens >= 0 && *tokens <= TRACE_MAX_TOKENS)) {
        fail(reader, cell, error, "tokens out of range", text);
        error_hint(error, "0 to %d", (int)TRACE_MAX_TOKENS);
        return STATUS_INVALID;
    }
    *tokens = fmax(1, floor(*tokens));
    return STATUS_OK;
}

/* Numbers of the pieces that the prompt fills; one that it fills in part is its own. */
static Status parse_hashes(const TraceReader *reader, TraceRow *row, Error *error)
{
    const double pieces = floor(row->prompt / reader->tree->piece_tokens);
    if (reader->hashes >= reader->cell_count)
        return fail(reader, 0, error, "the row ends before its columns do", NULL);
    const char *at = reader->cells[reader->hashes];
    for (double i = 0; i < pieces; i++) {
        char *end;
        Error problem;
        errno = 0;
        const unsigned long long hash = strtoull(at, &end, 10);
        if (end == at && i == 0)
            return STATUS_OK; /* nothing is known of this prompt */
        if (end == at || (*end != ' ' && *end != '\0') || errno != 0 || *at == '-' ||
            hash >= MAX_PREFIX_NODES - 1)
            return fail(reader, reader->hashes, error, "not a number of a shared piece", at);
        const Status status =
            prefix_tree_add(reader->tree, (uint32_t)hash + 1, row->prefix, &problem);
        if (status == STATUS_NO)
            return fail(reader, reader->hashes, error, problem.message, at);
        if (status != STATUS_OK) {
            *error = problem;
            return status;
        }
        row->prefix = (uint32_t)hash + 1;
        at = end + (*end == ' ');
    }
    return STATUS_OK;
}

static Status parse_row(TraceReader *reader, int whole, TraceRow *row, Error *error)
{
    double seconds = 0;
    if (!whole)
        return fail(reader, 0, error, "the line is too long", NULL);
    split(reader);
    for (size_t kind = 0; kind < COLUMNS; kind++)
        if (reader->column[kind] >= reader->cell_count)
            return fail(reader, 0, error, "the row ends before its columns do", NULL);

    const size_t cell = reader->column[COLUMN_TIME];
    const char *const text = reader->cells[cell];
    if (!(reader->time_name == NAME_DATE && parse_date(text, &seconds)) &&
        !csv_number(text, &seconds))
        return fail(reader, cell, error, "not a time", text);
    if (reader->time_name == NAME_MILLISECONDS)
        seconds /= 1e3;
    const double first_s = reader->started ? reader->first_s : seconds;
    if (reader->started && seconds < reader->last_s)
        return fail(reader, cell, error, "earlier than the row before", text);
    if (!(fabs(seconds) < 1e12))
        return fail(reader, cell, error, "time out of range", text);
    Status status = parse_tokens(reader, COLUMN_PROMPT, &row->prompt, error);
    if (status == STATUS_OK)
        status = parse_tokens(reader, COLUMN_OUTPUT, &row->output, error);
    row->prefix = 0;
    if (status == STATUS_OK && reader->tree != NULL && reader->has_hashes)
        status = parse_hashes(reader, row, error);
    if (status != STATUS_OK)
        return status;
    reader->started = 1;
    reader->first_s = first_s;
    reader->last_s = seconds;
    row->at_s = seconds - first_s;
    return STATUS_OK;
}

Status trace_next(TraceReader *reader, TraceRow *row, int *more, Error *error)
{
    for (;;) {
        int whole = 0;
        Status status = read_line(reader, more, &whole, error);
        if (status != STATUS_OK || !*more)
            return status;
        if (whole && reader->text[0] == '\0')
            continue;
        status = parse_row(reader, whole, row, error);
        if (status == STATUS_OK || !reader->skip_bad)
            return status;
        reader->skipped++;
    }
}

#include "reports/files.h"
#include "reports/validation.h"

#include <string.h>

/* RFC 4180: quoted where a separator, a quote or a line end is inside. A leading sign that a
 * spreadsheet would take for a formula is kept from it by a blank. */
static void put_text(FILE *out, const char *text)
{
    if (strchr("=+-@", text[0]) != NULL && text[0] != '\0') {
        fputc('"', out);
        fputc(' ', out);
    } else {
        fputc('"', out);
    }
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* Pairs of rows that differ in one thing: validation-ratios.csv. */
static Status put_ratios(const char *directory, const ValidationResult *result, Error *error)
{
    TextFile file;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    fputs("varied,id,reference,measured_ratio,predicted_ratio,error\r\n", file.out);
    for (size_t i = 0; i < result->ratio_count; i++) {
        const RatioPair *pair = &result->ratios[i];
        fprintf(file.out, "%s,", RATIO_KIND_NAMES[pair->kind]);
        put_text(file.out, result->rows[pair->row].row->id);
        fputc(',', file.out);
        put_text(file.out, result->rows[pair->reference].row->id);
        fprintf(file.out, ",%.17g,%.17g,%.17g\r\n", pair->measured, pair->predicted, pair->error);
    }
    return files_finish(&file, directory, "validation-ratios.csv", error);
}

static Status put_rows(const char *directory, const ValidationResult *result, Error *error)
{
    TextFile file;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    fputs("id,split,hardware,stack,gpus,layout,measured_tokens_per_s_per_gpu,"
          "predicted_tokens_per_s_per_gpu,error,fits,memory_bytes,capacity_bytes,defaults\r\n",
          file.out);
    for (size_t i = 0; i < result->row_count; i++) {
        const ValidatedRow *row = &result->rows[i];
        put_text(file.out, row->row->id);
        fputc(',', file.out);
        put_text(file.out, row->row->split);
        fprintf(file.out, ",%s,%s,%.17g,%s,%.17g,%.17g,%.17g,%d,%.17g,%.17g,\"", row->hardware,
                row->stack, row->setup[SETUP_GPUS], row->layout, row->measured, row->predicted,
                row->error, row->fits, row->memory_bytes, row->capacity_bytes);
        int first = 1;
        for (int d = 0; d < MEASURED_DEFAULTS; d++) {
            char text[MEASURED_DEFAULT_BYTES];
            if (!default_taken(&row->defaults, (MeasuredDefault)d))
                continue;
            fprintf(file.out, "%s%s", first ? "" : "; ",
                    default_text(&row->defaults, (MeasuredDefault)d, text));
            first = 0;
        }
        fputs("\"\r\n", file.out);
    }
    return files_finish(&file, directory, "validation.csv", error);
}

Status csv_validation(const char *directory, const ValidationResult *result, Error *error)
{
    Status status = put_rows(directory, result, error);
    return status == STATUS_OK ? put_ratios(directory, result, error) : status;
}

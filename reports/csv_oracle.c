#include "reports/ascii.h"
#include "reports/files.h"
#include "reports/oracle.h"

#include <string.h>

/* Quoted; an apostrophe keeps a leading sign from being taken for a formula. */
static void put_text(FILE *out, const char *text)
{
    char ascii[1024];
    ascii_copy(text, ascii, sizeof ascii);
    fputc('"', out);
    if (ascii[0] != '\0' && strchr("=+-@", ascii[0]) != NULL)
        fputc('\'', out);
    for (const char *c = ascii; *c != '\0'; c++) {
        if (*c == '"')
            fputc('"', out);
        fputc(*c, out);
    }
    fputc('"', out);
}

Status csv_oracle(const char *directory, const OracleResult *result, Error *error)
{
    TextFile file;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    fputs("id,model,parameters,metric,value,closed_form,error,allowed_error,simulated,standard_"
          "error,z,ok,note\r\n",
          file.out);
    for (size_t i = 0; i < result->row_count; i++) {
        const OracleRow *row = &result->rows[i];
        const char *texts[] = {row->id, row->model, row->parameters, row->metric};
        for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
            put_text(file.out, texts[t]);
            fputc(',', file.out);
        }
        fprintf(file.out, "%.17g,%.17g,%.17g,%.17g,", row->expected, row->closed_form, row->error,
                row->allowed_error);
        if (row->has_simulation)
            fprintf(file.out, "%.17g,%.17g,%.17g", row->simulated, row->standard_error, row->z);
        else
            fputs(",,", file.out);
        fprintf(file.out, ",%d,", row->ok);
        put_text(file.out, row->note);
        fputs("\r\n", file.out);
    }
    return files_finish(&file, directory, "validation.csv", error);
}

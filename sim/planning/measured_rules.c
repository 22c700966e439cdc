#include "sim/planning/measured_rules.h"

#include "configs/reader/measured_cell.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* ---- reading -----------------------------------------------------------------------------------
 */

static Status read_table(const ConfigPaths *paths, const char *name, const char *const *columns,
                         CsvTable *table, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/measurements/%s", paths->root, name);
    Status status = csv_read(path, table, error);
    for (size_t i = 0; status == STATUS_OK && columns[i] != NULL; i++)
        if (csv_column(table, columns[i]) < 0)
            status =
                error_set(error, STATUS_INVALID, "'%.200s' has no column '%s'", path, columns[i]);
    for (size_t i = 0; status == STATUS_OK && i < table->row_count; i++)
        if (table->rows[i].problem[0] != '\0')
            status = error_set(error, STATUS_INVALID, "%.200s:%d: %s", path, table->rows[i].line,
                               table->rows[i].problem);
    return status;
}

Status measured_rules_read(const ConfigPaths *paths, MeasuredRules *rules, Error *error)
{
    static const char *const GPUS[] = {"gpu", "hw", "assumed", "unmeasured", "why", NULL};
    static const char *const STACKS[] = {"id", "source", "from", "to", "zero_stage", "stack", NULL};
    static const char *const STACK_WORDS[] = {"words", "kind",       "gpu",   "from",
                                              "to",    "zero_stage", "stack", NULL};
    static const char *const FACTS[] = {"id", "source", "model", "zero_stage", "set", NULL};
    static const char *const FACT_WORDS[] = {"words", "kind", "zero_stage", "set", NULL};
    static const char *const SPELLINGS[] = {"column", "pattern", "word", "assumed", NULL};
    static const char *const CONVENTIONS[] = {"mfu_convention", "convention", "peak", "assumed",
                                              NULL};
    *rules = (MeasuredRules){0};
    Status status = read_table(paths, "gpus.csv", GPUS, &rules->gpus, error);
    if (status == STATUS_OK)
        status = read_table(paths, "stacks.csv", STACKS, &rules->stacks, error);
    if (status == STATUS_OK)
        status = read_table(paths, "stack_words.csv", STACK_WORDS, &rules->stack_words, error);
    if (status == STATUS_OK)
        status = read_table(paths, "facts.csv", FACTS, &rules->facts, error);
    if (status == STATUS_OK)
        status = read_table(paths, "fact_words.csv", FACT_WORDS, &rules->fact_words, error);
    if (status == STATUS_OK)
        status = read_table(paths, "conventions.csv", CONVENTIONS, &rules->conventions, error);
    if (status == STATUS_OK)
        status = read_table(paths, "spellings.csv", SPELLINGS, &rules->spellings, error);
    if (status == STATUS_OK)
        status = named_models_read(paths, &rules->models, error);
    if (status != STATUS_OK)
        measured_rules_free(rules);
    return status;
}

void measured_rules_free(MeasuredRules *rules)
{
    csv_free(&rules->gpus);
    csv_free(&rules->stacks);
    csv_free(&rules->stack_words);
    csv_free(&rules->facts);
    csv_free(&rules->fact_words);
    csv_free(&rules->conventions);
    csv_free(&rules->spellings);
    named_models_free(&rules->models);
}

/* ---- matching ----------------------------------------------------------------------------------
 */

static const char *cell(const CsvTable *table, size_t row, const char *column)
{
    int index = csv_column(table, column);
    return index >= 0 ? table->rows[row].cells[index].text : "";
}

static int matches(const CsvTable *table, size_t row, const char *column, const char *text)
{
    const char *pattern = cell(table, row, column);
    return pattern[0] == '\0' || fnmatch(pattern, text, 0) == 0;
}

/* A row without a year is of any. */
static int year_matches(const CsvTable *table, size_t row, double year)
{
    double bound;
    if (!measured_has(year))
        return 1;
    if (csv_number(cell(table, row, "from"), &bound) && year < bound)
        return 0;
    return !csv_number(cell(table, row, "to"), &bound) || year <= bound;
}

enum { ZERO_STAGE_BYTES = 16 };

/* Empty when it is not stated. */
static void write_zero_stage(const Measurement *row, char text[ZERO_STAGE_BYTES])
{
    text[0] = '\0';
    if (measured_has(row->zero_stage))
        snprintf(text, ZERO_STAGE_BYTES, "%g", row->zero_stage);
}

/* What a row says in words, and where it says it. */
enum { ALL_WORDS_BYTES = 2048 };

typedef struct RowWords {
    char all[ALL_WORDS_BYTES]; /* of stack, source, source_locator, model and notes */
    char gpu[128], zero_stage[ZERO_STAGE_BYTES];
    const char *kind;
} RowWords;

static void write_words(const MeasuredRules *rules, const Measurement *row, RowWords *words)
{
    const char *const texts[] = {row->stack, row->source, row->locator, row->model, row->notes};
    size_t used = 0;
    int assumed;
    words->all[used++] = ' ';
    words->all[used] = '\0';
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && used + 2 < ALL_WORDS_BYTES; i++) {
        cell_words(texts[i], words->all + used, ALL_WORDS_BYTES - used - 1);
        if (words->all[used] == '\0')
            continue;
        used += strlen(words->all + used);
        words->all[used++] = ' ';
        words->all[used] = '\0';
    }
    cell_words(row->gpu, words->gpu, sizeof words->gpu);
    write_zero_stage(row, words->zero_stage);
    words->kind = rules_spelling(rules, "kind", row->kind, &assumed);
}

int rules_hardware(const MeasuredRules *rules, const Measurement *row, HardwareRule *rule)
{
    char words[128];
    cell_words(row->gpu, words, sizeof words);
    for (size_t i = 0; i < rules->gpus.row_count; i++)
        if (matches(&rules->gpus, i, "gpu", words)) {
            *rule = (HardwareRule){.hw = cell(&rules->gpus, i, "hw"),
                                   .why = cell(&rules->gpus, i, "why"),
                                   .assumed = cell(&rules->gpus, i, "assumed")[0] != '\0',
                                   .unmeasured = cell(&rules->gpus, i, "unmeasured")[0] != '\0'};
            return 1;
        }
    return 0;
}

const char *rules_stack(const MeasuredRules *rules, const Measurement *row, StackFilter filter,
                        const void *context, int *assumed)
{
    const CsvTable *named = &rules->stacks, *table = &rules->stack_words;
    RowWords words;
    *assumed = 0;
    if (strncmp(row->stack, "stack-", strlen("stack-")) == 0)
        return row->stack;
    write_words(rules, row, &words);
    for (size_t i = 0; i < named->row_count; i++) {
        const char *stack = cell(named, i, "stack");
        if (matches(named, i, "id", row->id) && matches(named, i, "source", row->source) &&
            matches(named, i, "words", words.all) &&
            matches(named, i, "zero_stage", words.zero_stage) &&
            year_matches(named, i, row->year) && (filter == NULL || filter(context, stack)))
            return stack;
    }
    *assumed = 1;
    for (size_t i = 0; i < table->row_count; i++) {
        const char *stack = cell(table, i, "stack");
        if (matches(table, i, "words", words.all) && matches(table, i, "kind", words.kind) &&
            matches(table, i, "gpu", words.gpu) &&
            matches(table, i, "zero_stage", words.zero_stage) &&
            year_matches(table, i, row->year) && (filter == NULL || filter(context, stack)))
            return stack;
    }
    return NULL;
}

size_t rules_facts(const MeasuredRules *rules, const Measurement *row, const char *facts[MAX_FACTS])
{
    const CsvTable *of_words = &rules->fact_words, *table = &rules->facts;
    size_t count = 0;
    RowWords words;
    write_words(rules, row, &words);
    for (size_t i = 0; i < of_words->row_count && count < MAX_FACTS; i++)
        if (matches(of_words, i, "words", words.all) && matches(of_words, i, "kind", words.kind) &&
            matches(of_words, i, "zero_stage", words.zero_stage))
            facts[count++] = cell(of_words, i, "set");
    for (size_t i = 0; i < table->row_count && count < MAX_FACTS; i++)
        if (matches(table, i, "id", row->id) && matches(table, i, "zero_stage", words.zero_stage) &&
            matches(table, i, "source", row->source) && matches(table, i, "model", row->model))
            facts[count++] = cell(table, i, "set");
    return count;
}

const char *rules_spelling(const MeasuredRules *rules, const char *column, const char *text,
                           int *assumed)
{
    const CsvTable *table = &rules->spellings;
    char words[128];
    cell_words(text, words, sizeof words);
    *assumed = 0;
    for (size_t i = 0; i < table->row_count; i++)
        if (strcmp(cell(table, i, "column"), column) == 0 &&
            fnmatch(cell(table, i, "pattern"), words, 0) == 0) {
            *assumed = cell(table, i, "assumed")[0] != '\0';
            return cell(table, i, "word");
        }
    return text;
}

int rules_convention(const MeasuredRules *rules, const Measurement *row, ConventionRule *rule)
{
    const CsvTable *table = &rules->conventions;
    for (size_t i = 0; i < table->row_count; i++)
        if (matches(table, i, "mfu_convention", row->convention)) {
            rule->convention = cell(table, i, "convention");
            rule->peak = cell(table, i, "peak");
            rule->assumed = cell(table, i, "assumed")[0] != '\0';
            return 1;
        }
    return 0;
}

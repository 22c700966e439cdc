#include "sim/planning/collective_rows.h"

#include "configs/reader/sample.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No published message is longer, no cluster larger. */
#define MAX_MESSAGE_BYTES 1e13
#define MAX_RANKS         1e6
#define MAX_TIME_US       1e9

typedef enum Column {
    COLUMN_SOURCE,
    COLUMN_LOCATOR,
    COLUMN_GPU,
    COLUMN_FABRIC,
    COLUMN_NODES,
    COLUMN_COLLECTIVE,
    PATTERN_COLUMNS, /* of those above the rules have patterns */
    COLUMN_RANKS = PATTERN_COLUMNS,
    COLUMN_BYTES,
    COLUMN_TIME,
    COLUMN_NOTES,
    COLUMNS
} Column;

static const char *const COLUMN_NAMES[COLUMNS] = {"source",  "locator",    "gpu",    "fabric",
                                                  "n_nodes", "collective", "n_gpus", "msg_bytes",
                                                  "time_us", "notes"};
static const char *const RULE_PATTERNS[PATTERN_COLUMNS] = {"source", "locator", "gpu",
                                                           "fabric", "nodes",   "collective"};

static const struct {
    const char *name;
    CollectiveKind kind;
} KINDS[] = {
    {"all_reduce", KIND_ALL_REDUCE},
    {"all_gather", KIND_ALL_GATHER},
    {"reduce_scatter", KIND_REDUCE_SCATTER},
    {"alltoall", KIND_ALL_TO_ALL},
    {"all_to_all", KIND_ALL_TO_ALL},
    {"send_recv", KIND_SEND},
    {"ep_dispatch_normal", KIND_EXPERT_DISPATCH},
    {"ep_combine_normal", KIND_EXPERT_COMBINE},
    {"ep_dispatch_ll", KIND_LOW_LATENCY_DISPATCH},
    {"ep_combine_ll", KIND_LOW_LATENCY_COMBINE},
};

/* ---- a row's cells -----------------------------------------------------------------------------
 */

typedef struct Reading {
    const ConfigPaths *paths;
    const CsvTable *table;
    const char *const *sets;
    size_t set_count;
    int columns[COLUMNS];
    CollectiveRows *rows;
} Reading;

static const char *text_of(const Reading *reading, size_t row, Column column)
{
    return reading->table->rows[row].cells[reading->columns[column]].text;
}

static const char *rule_text(const CsvTable *rules, size_t rule, const char *column)
{
    const int index = csv_column(rules, column);
    return index >= 0 ? rules->rows[rule].cells[index].text : "";
}

/* An empty cell of the rules counts as 0. */
static double rule_number(const CsvTable *rules, size_t rule, const char *column)
{
    double value;
    return csv_number(rule_text(rules, rule, column), &value) ? value : 0;
}

/* The number behind `word`: "SMs=20". */
static int number_behind(const char *text, const char *word, double *value)
{
    const char *at = strstr(text, word);
    char digits[16];
    if (at == NULL)
        return 0;
    snprintf(digits, sizeof digits, "%.*s",
             (int)fmin(15, (double)strspn(at + strlen(word), "0123456789")), at + strlen(word));
    return csv_number(digits, value) && *value > 0;
}

static int within(double value, double low, double high)
{
    return value >= low && value <= high;
}

/* STATUS_INVALID with the reason to skip the row. */
static Status read_numbers(const Reading *reading, size_t index, CollectiveRow *row, double *nodes,
                           Error *reason)
{
    double time_us;
    if (text_of(reading, index, COLUMN_BYTES)[0] == '\0')
        return error_set(reason, STATUS_INVALID, "the source gives no message size");
    if (text_of(reading, index, COLUMN_TIME)[0] == '\0')
        return error_set(reason, STATUS_INVALID, "the source gives no time");
    if (!csv_number(text_of(reading, index, COLUMN_BYTES), &row->bytes) ||
        !within(row->bytes, 1, MAX_MESSAGE_BYTES))
        return error_set(reason, STATUS_INVALID, "msg_bytes '%.40s' is not 1 to %g bytes",
                         text_of(reading, index, COLUMN_BYTES), MAX_MESSAGE_BYTES);
    if (!csv_number(text_of(reading, index, COLUMN_TIME), &time_us) ||
        !within(time_us, 1e-3, MAX_TIME_US))
        return error_set(reason, STATUS_INVALID, "time_us '%.40s' is not 0.001 to %g us",
                         text_of(reading, index, COLUMN_TIME), MAX_TIME_US);
    if (!csv_number(text_of(reading, index, COLUMN_RANKS), &row->ranks) ||
        !within(row->ranks, 2, MAX_RANKS) || floor(row->ranks) < row->ranks)
        return error_set(reason, STATUS_INVALID, "n_gpus '%.40s' is not a whole number from 2 on",
                         text_of(reading, index, COLUMN_RANKS));
    if (!csv_number(text_of(reading, index, COLUMN_NODES), nodes) || !within(*nodes, 1, row->ranks))
        return error_set(reason, STATUS_INVALID, "n_nodes '%.40s' is not 1 to n_gpus",
                         text_of(reading, index, COLUMN_NODES));
    row->measured_s = 1e-6 * time_us;
    return STATUS_OK;
}

static Status read_kind(const char *name, CollectiveKind *kind, Error *reason)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        if (strcmp(name, KINDS[i].name) == 0) {
            *kind = KINDS[i].kind;
            return STATUS_OK;
        }
    return error_set(reason, STATUS_INVALID, "'%.40s' is no collective that is predicted", name);
}

/* ---- rules and machines ------------------------------------------------------------------------
 */

static int rule_matches(const Reading *reading, size_t index, size_t rule)
{
    for (int column = 0; column < PATTERN_COLUMNS; column++)
        if (fnmatch(rule_text(&reading->rows->rules, rule, RULE_PATTERNS[column]),
                    text_of(reading, index, (Column)column), 0) != 0)
            return 0;
    return 1;
}

static Status find_rule(const Reading *reading, size_t index, size_t *rule, Error *reason)
{
    const CsvTable *rules = &reading->rows->rules;
    for (*rule = 0; *rule < rules->row_count; ++*rule) {
        if (!rule_matches(reading, index, *rule))
            continue;
        const char *skip = rule_text(rules, *rule, "skip");
        return skip[0] == '\0' ? STATUS_OK : error_set(reason, STATUS_INVALID, "%.150s", skip);
    }
    return error_set(reason, STATUS_INVALID, "no machine in configs/hw stands for '%.60s', '%.60s'",
                     text_of(reading, index, COLUMN_GPU), text_of(reading, index, COLUMN_FABRIC));
}

static Status read_hardware(const Reading *reading, const char *name, HardwareSpec *hardware,
                            Error *error)
{
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *read = malloc(sizeof *read), *middle = malloc(sizeof *middle);
    Status status = STATUS_ENVIRONMENT;
    if (errors == NULL || read == NULL || middle == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    status = part_read(reading->paths, "hw", name, reading->sets, reading->set_count, read, NULL,
                       NULL, errors);
    if (status != STATUS_OK) {
        *error = errors->errors[0];
        goto cleanup;
    }
    scenario_midpoint(read, middle);
    *hardware = middle->hardware;
cleanup:
    free(errors);
    free(read);
    free(middle);
    return status;
}

static Status find_machine(const Reading *reading, size_t rule, size_t *machine, Error *error)
{
    CollectiveRows *rows = reading->rows;
    const char *name = rule_text(&rows->rules, rule, "hw");
    const char *launch = rule_text(&rows->rules, rule, "launch");
    for (*machine = 0; *machine < rows->machine_count; ++*machine)
        if (strcmp(rows->machines[*machine].name, name) == 0 &&
            strcmp(rows->machines[*machine].launch, launch) == 0)
            return STATUS_OK;
    CollectiveMachine *added = &rows->machines[rows->machine_count];
    snprintf(added->name, sizeof added->name, "%s", name);
    added->launch = launch;
    Status status = read_hardware(reading, name, &added->hardware, error);
    if (status == STATUS_OK)
        rows->machine_count++;
    if (strcmp(launch, "eager") != 0)
        added->hardware.node.eager_launch_s = 0;
    return status;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static int is_expert(CollectiveKind kind)
{
    return kind >= KIND_EXPERT_DISPATCH;
}

/* Hosts that share an NVLink domain count as one node. */
static void place_ranks(const Reading *reading, size_t rule, double nodes, CollectiveRow *row)
{
    const double host_gpus = rule_number(&reading->rows->rules, rule, "host_gpus");
    const double domain_gpus = reading->rows->machines[row->machine].hardware.node.gpus;
    const double domains = host_gpus > 0 ? ceil(nodes * host_gpus / domain_gpus) : nodes;
    row->ranks_per_node = fmin(row->ranks / domains, domain_gpus);
    row->across = row->ranks > row->ranks_per_node;
}

static void read_exchange(const Reading *reading, size_t index, size_t rule, CollectiveRow *row)
{
    const CsvTable *rules = &reading->rows->rules;
    const char *notes = text_of(reading, index, COLUMN_NOTES);
    if (!number_behind(notes, "top", &row->copies))
        row->copies = fmax(1, rule_number(rules, rule, "copies"));
    if (!number_behind(notes, "SMs=", &row->sms))
        row->sms = fmax(1, rule_number(rules, rule, "sms"));
    row->node_limit = rule_number(rules, rule, "node_limit");
}

static int is_held_back(const Reading *reading, size_t index, const CollectiveRow *row)
{
    char key[256];
    snprintf(key, sizeof key, "%s %s %g GPUs %s nodes %.17g bytes %g SMs", row->gpu,
             row->collective, row->ranks, text_of(reading, index, COLUMN_NODES), row->bytes,
             row->sms);
    return kernel_held_back(key);
}

/* STATUS_INVALID: the row is skipped; anything else but STATUS_OK ends the reading. */
static Status read_row(const Reading *reading, size_t index, CollectiveRow *row, Error *reason)
{
    const CsvRow *cells = &reading->table->rows[index];
    size_t rule;
    double nodes;
    *row = (CollectiveRow){.line = cells->line,
                           .source = text_of(reading, index, COLUMN_SOURCE),
                           .gpu = text_of(reading, index, COLUMN_GPU),
                           .collective = text_of(reading, index, COLUMN_COLLECTIVE)};
    if (cells->problem[0] != '\0')
        return error_set(reason, STATUS_INVALID, "%s", cells->problem);
    Status status = find_rule(reading, index, &rule, reason);
    if (status == STATUS_OK)
        status = read_kind(row->collective, &row->kind, reason);
    if (status == STATUS_OK)
        status = read_numbers(reading, index, row, &nodes, reason);
    if (status != STATUS_OK)
        return status;
    status = find_machine(reading, rule, &row->machine, reason);
    if (status != STATUS_OK) /* what is shipped cannot be read: not this row's fault */
        return status == STATUS_INVALID ? STATUS_USAGE : status;
    place_ranks(reading, rule, nodes, row);
    if (is_expert(row->kind))
        read_exchange(reading, index, rule, row);
    row->fit = rule_text(&reading->rows->rules, rule, "fit");
    row->held_back = row->fit[0] == '\0' || is_held_back(reading, index, row);
    return STATUS_OK;
}

static Status read_rules(Reading *reading, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/measurements/collective_machines.csv", reading->paths->root);
    CsvTable *rules = &reading->rows->rules;
    Status status = csv_read(path, rules, error);
    for (size_t i = 0; status == STATUS_OK && i < PATTERN_COLUMNS; i++)
        if (csv_column(rules, RULE_PATTERNS[i]) < 0)
            status = error_set(error, STATUS_INVALID, "'%.200s' has no column '%s'", path,
                               RULE_PATTERNS[i]);
    for (size_t i = 0; status == STATUS_OK && i < rules->row_count; i++)
        if (rules->rows[i].problem[0] != '\0')
            status = error_set(error, STATUS_INVALID, "%.200s:%d: %s", path, rules->rows[i].line,
                               rules->rows[i].problem);
    return status;
}

static Status find_columns(Reading *reading, Error *error)
{
    for (int i = 0; i < COLUMNS; i++) {
        reading->columns[i] = csv_column(reading->table, COLUMN_NAMES[i]);
        if (reading->columns[i] >= 0)
            continue;
        error_set(error, STATUS_INVALID, "the column '%s' is missing", COLUMN_NAMES[i]);
        if (error != NULL) {
            snprintf(error->file, sizeof error->file, "%s", reading->table->file);
            error->line = 1;
        }
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static void skip_row(CollectiveRows *rows, const CollectiveRow *row, const Error *reason)
{
    SkippedRow *skipped = &rows->skipped[rows->skipped_count++];
    skipped->line = row->line;
    skipped->id = row->collective;
    snprintf(skipped->reason, sizeof skipped->reason, "%.*s", (int)sizeof skipped->reason - 1,
             reason->message);
}

Status collective_rows_read(const ConfigPaths *paths, const CsvTable *table,
                            const char *const *sets, size_t set_count, CollectiveRows *rows,
                            Error *error)
{
    *rows = (CollectiveRows){0};
    Reading reading = {
        .paths = paths, .table = table, .sets = sets, .set_count = set_count, .rows = rows};
    Status status = find_columns(&reading, error);
    if (status == STATUS_OK)
        status = read_rules(&reading, error);
    if (status != STATUS_OK)
        return status;
    rows->rows = calloc(table->row_count + 1, sizeof *rows->rows);
    rows->skipped = calloc(table->row_count + 1, sizeof *rows->skipped);
    rows->machines = calloc(rows->rules.row_count + 1, sizeof *rows->machines);
    if (rows->rows == NULL || rows->skipped == NULL || rows->machines == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < table->row_count; i++) {
        Error reason = {0};
        CollectiveRow *row = &rows->rows[rows->count];
        status = read_row(&reading, i, row, &reason);
        if (status == STATUS_OK)
            rows->count++;
        else if (status == STATUS_INVALID)
            skip_row(rows, row, &reason);
        else {
            *error = reason;
            return status;
        }
    }
    return STATUS_OK;
}

void collective_rows_free(CollectiveRows *rows)
{
    csv_free(&rows->rules);
    free(rows->machines);
    free(rows->rows);
    free(rows->skipped);
    *rows = (CollectiveRows){0};
}

/* ---- predictions -------------------------------------------------------------------------------
 */

double collective_row_seconds(const HardwareSpec *hardware, const CollectiveRow *row)
{
    const ExpertExchange exchange = {.token_bytes =
                                         is_expert(row->kind) ? row->bytes / row->copies : 0,
                                     .copies = row->copies,
                                     .ranks = row->ranks,
                                     .ranks_per_node = row->ranks_per_node,
                                     .node_limit = row->node_limit,
                                     .sms = row->sms};
    switch (row->kind) {
    case KIND_SEND:
        return hardware->node.eager_launch_s + p2p_seconds(hardware, row->bytes, !row->across);
    case KIND_EXPERT_DISPATCH:
        return expert_exchange_seconds(hardware, EXPERT_DISPATCH, &exchange);
    case KIND_EXPERT_COMBINE:
        return expert_exchange_seconds(hardware, EXPERT_COMBINE, &exchange);
    case KIND_LOW_LATENCY_DISPATCH:
        return expert_low_latency_seconds(hardware, EXPERT_DISPATCH, &exchange);
    case KIND_LOW_LATENCY_COMBINE:
        return expert_low_latency_seconds(hardware, EXPERT_COMBINE, &exchange);
    case KIND_ALL_REDUCE:
    case KIND_ALL_GATHER:
    case KIND_REDUCE_SCATTER:
    case KIND_ALL_TO_ALL:
    case COLLECTIVE_KINDS:
        break;
    }
    static const Collective collectives[] = {
        [KIND_ALL_REDUCE] = COLLECTIVE_ALL_REDUCE,
        [KIND_ALL_GATHER] = COLLECTIVE_ALL_GATHER,
        [KIND_REDUCE_SCATTER] = COLLECTIVE_REDUCE_SCATTER,
        [KIND_ALL_TO_ALL] = COLLECTIVE_ALL_TO_ALL,
    };
    return collective_seconds(hardware, collectives[row->kind], row->bytes, row->ranks,
                              row->ranks_per_node);
}

/* Where a row ran and how. */
static void put_place(const CollectiveRow *row, const CollectiveMachine *machine, char *label)
{
    static const char *const EXPERTS[] = {"experts, in a node", "experts, nodes"};
    static const char *const LOW_LATENCY[] = {"low lat., in a node", "low lat., nodes"};
    static const char *const SENDS[] = {"send, in a node", "send, nodes"};
    if (row->kind == KIND_SEND)
        snprintf(label, KERNEL_LABEL_BYTES, "%s", SENDS[row->across]);
    else if (row->kind >= KIND_LOW_LATENCY_DISPATCH)
        snprintf(label, KERNEL_LABEL_BYTES, "%s", LOW_LATENCY[row->across]);
    else if (is_expert(row->kind))
        snprintf(label, KERNEL_LABEL_BYTES, "%s", EXPERTS[row->across]);
    else if (row->across)
        snprintf(label, KERNEL_LABEL_BYTES, "nodes, %s",
                 row->ranks >= 32 ? "32+ GPUs" : "< 32 GPUs");
    else
        snprintf(label, KERNEL_LABEL_BYTES, "in a node, %.20s", machine->launch);
}

/* "H100 all_gather", "H100 all_reduce far", "H100 combine_ll x4". */
static void put_collective(const CollectiveRow *row, char *label)
{
    const int gpu = (int)strcspn(row->gpu, "- ");
    const char *name =
        strncmp(row->collective, "ep_", 3) == 0 ? row->collective + 3 : row->collective;
    char far[16] = "";
    if (is_expert(row->kind))
        snprintf(far, sizeof far, " x%.4g", row->ranks / row->ranks_per_node);
    else if (row->across)
        snprintf(far, sizeof far, " far");
    snprintf(label, KERNEL_LABEL_BYTES, "%.*s %.20s%s", gpu < 12 ? gpu : 12, row->gpu, name, far);
}

static void put_id(const CollectiveRow *row, char *id)
{
    const int large = row->bytes >= 1 << 20;
    snprintf(id, KERNEL_ID_BYTES, "%.18s %.20s %g/%g %.4g %s", row->gpu, row->collective,
             row->ranks, row->ranks_per_node, row->bytes / (large ? 1 << 20 : 1 << 10),
             large ? "MiB" : "KiB");
}

static KernelRow labelled(const CollectiveRows *rows, const CollectiveRow *row)
{
    const CollectiveMachine *machine = &rows->machines[row->machine];
    KernelRow kernel = {.line = row->line,
                        .measured_s = row->measured_s,
                        .predicted_s = collective_row_seconds(&machine->hardware, row),
                        .held_back = row->held_back};
    put_id(row, kernel.id);
    put_place(row, machine, kernel.group[0]);
    put_collective(row, kernel.group[1]);
    snprintf(kernel.group[2], KERNEL_LABEL_BYTES, "%.47s", row->source);
    snprintf(kernel.group[3], KERNEL_LABEL_BYTES, "%.32s",
             row->fit[0] != '\0' ? row->fit : "in no fit");
    return kernel;
}

Status collective_validate(const CollectiveRows *rows, KernelPart part, const char *file,
                           KernelValidation *result, Error *error)
{
    static const char *const GROUPS[] = {"place", "collective", "source", "fit", NULL};
    Status status = kernel_validation_start(result, "collectives", GROUPS,
                                            rows->count + rows->skipped_count, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < rows->count; i++) {
        if (!kernel_part_has(part, rows->rows[i].held_back))
            continue;
        const KernelRow row = labelled(rows, &rows->rows[i]);
        kernel_validation_add(result, &row);
    }
    for (size_t i = 0; i < rows->skipped_count; i++)
        kernel_validation_skip(result, rows->skipped[i].line, rows->skipped[i].id, "%s",
                               rows->skipped[i].reason);
    return kernel_validation_summarise(result, file, error);
}

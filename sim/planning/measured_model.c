#include "sim/planning/measured_model.h"

#include "configs/reader/measured_cell.h"
#include "configs/reader/sample.h"
#include "models/architecture.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Printed parameter counts round, and leave embeddings out or not. */
static const double same_parameters = 0.25;

static const char *const COLUMNS[] = {"name",
                                      "model",
                                      "seq_len",
                                      "n_layers",
                                      "d_model",
                                      "n_heads",
                                      "n_kv_heads",
                                      "head_dim",
                                      "d_ff",
                                      "gated_mlp",
                                      "tied_embeddings",
                                      "n_experts",
                                      "top_k",
                                      "n_shared_experts",
                                      "dense_layers",
                                      "expert_d_ff",
                                      "vocab",
                                      NULL};

static const char *cell(const CsvTable *table, size_t row, const char *column)
{
    return table->rows[row].cells[csv_column(table, column)].text;
}

static double number(const CsvTable *table, size_t row, const char *column, double absent)
{
    double value;
    return csv_number(cell(table, row, column), &value) ? value : absent;
}

/* A file of configs/models. */
static Status read_file(const ConfigPaths *paths, NamedModel *model, Scenario *scratch,
                        Scenario *middle, ErrorList *errors, Error *error)
{
    Status status = part_read(paths, "models", model->name, NULL, 0, scratch, NULL, NULL, errors);
    if (status != STATUS_OK) {
        if (error != NULL)
            *error = errors->errors[0];
        return status;
    }
    scenario_midpoint(scratch, middle);
    model->spec = middle->model;
    return STATUS_OK;
}

static void read_shape(const CsvTable *table, size_t row, ModelSpec *spec)
{
    *spec = (ModelSpec){.layers = number(table, row, "n_layers", 0),
                        .d_model = number(table, row, "d_model", 0),
                        .heads = number(table, row, "n_heads", 0),
                        .kv_heads = number(table, row, "n_kv_heads", 0),
                        .head_dim = number(table, row, "head_dim", 0),
                        .d_ff = number(table, row, "d_ff", 0),
                        .vocab_size = number(table, row, "vocab", 0),
                        .gated_mlp = number(table, row, "gated_mlp", 0) != 0,
                        .tied_embeddings = number(table, row, "tied_embeddings", 0) != 0,
                        .experts = number(table, row, "n_experts", 1),
                        .experts_per_token = number(table, row, "top_k", 1),
                        .shared_experts = number(table, row, "n_shared_experts", 0),
                        .dense_layers = number(table, row, "dense_layers", 0),
                        .expert_d_ff = number(table, row, "expert_d_ff", 0)};
}

/* Every number that a step needs is there. */
static Status check_shape(const CsvTable *table, size_t row, const ModelSpec *spec, Error *error)
{
    const double needed[] = {spec->d_model,  spec->heads, spec->kv_heads,
                             spec->head_dim, spec->d_ff,  spec->vocab_size};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!(needed[i] >= 1))
            return error_set(error, STATUS_INVALID, "%.200s:%d: a shape lacks a number",
                             table->file, table->rows[row].line);
    return STATUS_OK;
}

static const NamedModel *earlier_of_name(const NamedModels *models, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(models->models[i].name, name) == 0)
            return &models->models[i];
    return NULL;
}

static Status read_models(const ConfigPaths *paths, NamedModels *models, Error *error)
{
    const CsvTable *table = &models->table;
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scratch = calloc(2, sizeof *scratch);
    Status status = STATUS_OK;
    models->models = calloc(table->row_count + 1, sizeof *models->models);
    if (errors == NULL || scratch == NULL || models->models == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i < table->row_count; i++) {
        NamedModel *model = &models->models[i];
        model->pattern = cell(table, i, "name");
        model->name = cell(table, i, "model");
        model->sequence_length = number(table, i, "seq_len", nan(""));
        const NamedModel *earlier = earlier_of_name(models, i, model->name);
        if (model->name[0] == '\0')
            continue;
        if (earlier != NULL) {
            model->spec = earlier->spec;
        } else if (cell(table, i, "n_layers")[0] != '\0') {
            read_shape(table, i, &model->spec);
            status = check_shape(table, i, &model->spec, error);
        } else {
            status = read_file(paths, model, &scratch[0], &scratch[1], errors, error);
        }
    }
    models->count = table->row_count;
    free(errors);
    free(scratch);
    return status;
}

Status named_models_read(const ConfigPaths *paths, NamedModels *models, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    *models = (NamedModels){0};
    snprintf(path, sizeof path, "%s/measurements/model_names.csv", paths->root);
    Status status = csv_read(path, &models->table, error);
    for (size_t i = 0; status == STATUS_OK && COLUMNS[i] != NULL; i++)
        if (csv_column(&models->table, COLUMNS[i]) < 0)
            status =
                error_set(error, STATUS_INVALID, "'%.200s' has no column '%s'", path, COLUMNS[i]);
    for (size_t i = 0; status == STATUS_OK && i < models->table.row_count; i++)
        if (models->table.rows[i].problem[0] != '\0')
            status = error_set(error, STATUS_INVALID, "%.200s:%d: %s", path,
                               models->table.rows[i].line, models->table.rows[i].problem);
    if (status == STATUS_OK)
        status = read_models(paths, models, error);
    if (status != STATUS_OK)
        named_models_free(models);
    return status;
}

void named_models_free(NamedModels *models)
{
    free(models->models);
    csv_free(&models->table);
    *models = (NamedModels){0};
}

const NamedModel *named_model_of(const NamedModels *models, const Measurement *row)
{
    char words[256];
    cell_name_words(row->model, words, sizeof words);
    if (words[0] == '\0')
        return NULL;
    for (size_t i = 0; i < models->count; i++) {
        const NamedModel *model = &models->models[i];
        if (fnmatch(model->pattern, words, 0) != 0)
            continue;
        if (model->name[0] == '\0')
            return NULL;
        const double total = model_parameters(&model->spec).total / 1e9;
        const int differs = measured_has(row->params_total_b) &&
                            fabs(row->params_total_b / total - 1) > same_parameters;
        return differs ? NULL : model;
    }
    return NULL;
}

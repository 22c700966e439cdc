/* Models that rows name without stating their shape: configs/measurements/model_names.csv. A line
 * has a pattern of the name as words ("*llama 3 70b*", cell_name_words), what the model is called
 * here (empty: none that fills anything in), the length of its training sequences, and either its
 * shape or nothing, which means that configs/models has a file of that name. The first line that
 * matches counts. */
#ifndef SIM_PLANNING_MEASURED_MODEL_H
#define SIM_PLANNING_MEASURED_MODEL_H

#include "configs/reader/measurements.h"
#include "configs/reader/reader.h"

typedef struct NamedModel {
    const char *pattern, *name; /* into the table */
    double sequence_length;     /* not finite: not known */
    ModelSpec spec;
} NamedModel;

typedef struct NamedModels {
    CsvTable table;
    size_t count;
    NamedModel *models;
} NamedModels;

Status named_models_read(const ConfigPaths *paths, NamedModels *models, Error *error);
void named_models_free(NamedModels *models);

/* NULL when the row names none, or states parameters that are not those of the model. */
const NamedModel *named_model_of(const NamedModels *models, const Measurement *row);

#endif

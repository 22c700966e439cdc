/* The checked inputs of a simulation as plain data.
 *
 * Each part has a header of its own, scenario_*.h.
 *
 * A Scenario is one flat struct without pointers: copying it is a struct assignment, which is what
 * makes sampling cheap (copy, overwrite the uncertain fields, simulate). Every field is filled by
 * the tables in schema_*.c, which hold its key, unit, bounds, default and help; nothing else reads
 * YAML.
 *
 * Units are SI inside: seconds, bytes, FLOP/s, watts, US dollars; a price per hour is USD per hour
 * because that is the unit of every contract. Counts are doubles (exact to 2^53), so that one kind
 * of range, unit and override serves all numbers.
 */
#ifndef CONFIGS_READER_SCENARIO_H
#define CONFIGS_READER_SCENARIO_H

#include "configs/reader/scenario_fleet.h"
#include "configs/reader/scenario_hardware.h"
#include "configs/reader/scenario_model.h"
#include "configs/reader/scenario_prices.h"
#include "configs/reader/scenario_reliability.h"
#include "configs/reader/scenario_serving.h"
#include "configs/reader/scenario_training.h"

#include <stddef.h>

enum { MAX_UNCERTAIN = 64, MAX_CHOICES = 8 };

typedef enum ScenarioKind { SCENARIO_TRAINING, SCENARIO_SERVING } ScenarioKind;

/* One uncertain input: which field, and from what it is drawn. */
typedef enum Distribution {
    DRAW_UNIFORM,
    DRAW_LOG_UNIFORM,
    DRAW_NORMAL,
    DRAW_LOGNORMAL,
    DRAW_CHOICE
} Distribution;

typedef struct UncertainInput {
    char path[128];      /* dotted key, e.g. "reliability.interval" */
    size_t offset;       /* of the field in Scenario */
    int is_integer_enum; /* the field is an int (enum or bool), drawn from choices */
    int is_whole;        /* the field counts whole things: draws are rounded */
    Distribution distribution;
    double low;              /* bounds for uniform and log-uniform; p5 for normal and lognormal */
    double high;             /* p95 for normal and lognormal */
    double minimum, maximum; /* the field's bounds: draws are clipped to them */
    size_t choice_count;
    double choices[MAX_CHOICES];
} UncertainInput;

typedef struct Scenario {
    char name[NAME_BYTES];
    char title[TITLE_BYTES];
    ScenarioKind kind;
    ModelSpec model;
    HardwareSpec hardware;
    TrainingSpec training;
    ReliabilitySpec reliability;
    PriceSpec prices;
    ServingSpec serving;
    FleetSpec fleet;
    DataSpec data;
    LawSpec law;
    size_t course_count; /* 0: one phase, as `training` says */
    CoursePhase course[MAX_COURSE_PHASES];
    size_t uncertain_count;
    UncertainInput uncertain[MAX_UNCERTAIN];
} Scenario;

#endif

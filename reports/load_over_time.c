#include "reports/load_over_time.h"

#include "reports/files.h"
#include "reports/number_field.h"

#include <math.h>
#include <stdio.h>

#define PART(KEY, MEMBER)                                                                          \
    {                                                                                              \
        KEY, offsetof(LoadPart, MEMBER)                                                            \
    }

static const NumberField PART_FIELDS[] = {
    PART("end_s", end_s),     PART("kv_blocks", kv_blocks), PART("kv_occupancy", kv_occupancy),
    PART("running", running), PART("waiting", waiting),
};
enum { PART_FIELD_COUNT = sizeof PART_FIELDS / sizeof *PART_FIELDS };

/* Blocks of all replicas of a side. */
static double all_blocks(const LoadForecast *forecast, ServingSide side)
{
    const SideForecast *of = &forecast->sides[side];
    return forecast->replicas *
           (forecast->disaggregated ? of->replicas * of->memory.blocks : forecast->memory.blocks);
}

size_t load_over_time(const LoadForecast *forecast, ServingSide side, LoadPart *parts)
{
    const OccupancySeries *series = &forecast->over_time[side];
    const double blocks = all_blocks(forecast, side);
    const size_t count = occupancy_count(series);
    for (size_t i = 0; i < count; i++) {
        const OccupancyPart mean = occupancy_mean(series, i);
        parts[i] = (LoadPart){.end_s = fmin(series->end_s, (double)(i + 1) * series->part_s),
                              .kv_blocks = mean.kv_blocks,
                              .kv_occupancy = mean.kv_blocks / blocks,
                              .running = mean.running,
                              .waiting = mean.waiting};
    }
    return count;
}

static void put_side(JsonBuilder *builder, const LoadForecast *forecast, ServingSide side,
                     const char *key)
{
    LoadPart parts[OCCUPANCY_PARTS];
    const size_t count = load_over_time(forecast, side, parts);
    json_t *array = json_array();
    char path[64];
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        json_put_numbers(builder, object, PART_FIELDS, PART_FIELD_COUNT, &parts[i]);
        json_append(builder, array, object);
    }
    snprintf(path, sizeof path, "%s.part_s", key);
    json_put(builder, builder->root, path, json_number(forecast->over_time[side].part_s));
    snprintf(path, sizeof path, "%s.parts", key);
    json_put(builder, builder->root, path, array);
}

void json_put_over_time(JsonBuilder *builder, const LoadForecast *forecast)
{
    put_side(builder, forecast, SIDE_DECODE, "over_time");
    if (forecast->disaggregated)
        put_side(builder, forecast, SIDE_PREFILL, "disaggregated.prefill.over_time");
}

static void put_rows(FILE *out, const LoadForecast *forecast, ServingSide side)
{
    LoadPart parts[OCCUPANCY_PARTS];
    const size_t count = load_over_time(forecast, side, parts);
    for (size_t i = 0; i < count; i++) {
        csv_put_text(out, forecast->disaggregated ? SERVING_SIDE_WORDS[side] : "both");
        fputc(',', out);
        csv_put_numbers(out, PART_FIELDS, PART_FIELD_COUNT, &parts[i]);
        fputs("\r\n", out);
    }
}

Status csv_load_over_time(const char *directory, const LoadForecast *forecast, Error *error)
{
    TextFile file;
    const Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    fputs("side,", file.out);
    csv_put_names(file.out, PART_FIELDS, PART_FIELD_COUNT);
    fputs("\r\n", file.out);
    for (int side = 0; side < SERVING_SIDES; side++)
        put_rows(file.out, forecast, (ServingSide)side);
    return files_finish(&file, directory, "load-over-time.csv", error);
}

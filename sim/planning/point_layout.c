#include "sim/planning/point_layout.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double most_ways = 4096;

const char *const LAYOUT_CELL_NAMES[LAYOUT_CELLS] = {
    "tp_size",     "pp_size",    "attention_dp_size", "moe_tp_size",
    "moe_ep_size", "batch_size", "num_workers"};

double point_layout_gpus(const PointLayout *layout)
{
    return layout->tensor * layout->attention_data * layout->pipeline * layout->workers;
}

void point_layout_of(const double cells[LAYOUT_CELLS], PointLayout *layout)
{
    const double data = cells[LAYOUT_ATTENTION_DATA];
    *layout = (PointLayout){.tensor = fmax(1, cells[LAYOUT_TENSOR]),
                            .pipeline = fmax(1, cells[LAYOUT_PIPELINE]),
                            .expert = fmax(1, cells[LAYOUT_MOE_EXPERT]),
                            .moe_tensor = fmax(1, cells[LAYOUT_MOE_TENSOR]),
                            .workers = fmax(1, cells[LAYOUT_WORKERS])};
    layout->attention_data =
        data >= 1 ? data : fmax(1, layout->moe_tensor * layout->expert / layout->tensor);
    layout->batch = cells[LAYOUT_BATCH] * fmax(1, data) * layout->workers;
}

/* The whole number behind the last `mark` of an id: "..._tp8_0_ep8_..." with "_tp" is 8; 0: none.
 */
static double number_in_id(const char *id, const char *mark)
{
    double value = 0;
    for (const char *at = strstr(id, mark); at != NULL; at = strstr(at + 1, mark))
        if (isdigit((unsigned char)at[strlen(mark)]))
            value = fmin(most_ways, strtod(at + strlen(mark), NULL));
    return value;
}

void point_layout_undo_product(const char *id, int multiplied, PointLayout *layout)
{
    double gpus = number_in_id(id, "_tp"), expert = number_in_id(id, "_ep");
    if (gpus < 1 && multiplied && layout->moe_tensor > 1) {
        gpus = layout->moe_tensor;
        expert = layout->expert;
    }
    if (!(gpus >= 1 && expert > 1) || layout->tensor * layout->attention_data != gpus * expert)
        return;
    if (layout->tensor == gpus)
        layout->attention_data = 1;
    else if (layout->tensor > 1)
        layout->tensor = gpus;
    else
        layout->attention_data = gpus;
    layout->expert = expert;
}

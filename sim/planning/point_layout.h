/* How a deployment lies on its GPUs, from what a table says of one engine, or of the engines of one
 * side of a disaggregated deployment. */
#ifndef SIM_PLANNING_POINT_LAYOUT_H
#define SIM_PLANNING_POINT_LAYOUT_H

/* Cells of a layout; the column of a side has its prefix ("prefill_tp_size"). */
typedef enum LayoutCell {
    LAYOUT_TENSOR,
    LAYOUT_PIPELINE,
    LAYOUT_ATTENTION_DATA,
    LAYOUT_MOE_TENSOR,
    LAYOUT_MOE_EXPERT,
    LAYOUT_BATCH,   /* sequences of each copy of attention */
    LAYOUT_WORKERS, /* engines of a side */
    LAYOUT_CELLS
} LayoutCell;
extern const char *const LAYOUT_CELL_NAMES[LAYOUT_CELLS];

typedef struct PointLayout {
    double tensor, pipeline, attention_data, expert; /* of one engine; tensor: of one attention */
    double moe_tensor;                               /* as the table has it */
    double workers;                                  /* engines */
    double batch;                                    /* of all engines; 0: not given */
} PointLayout;

double point_layout_gpus(const PointLayout *layout);

/* Fills a layout from cells that are numbers (empty: 0). Experts and attention lie on the same
 * GPUs: a layout that leaves attention's copies out has what is missing. */
void point_layout_of(const double cells[LAYOUT_CELLS], PointLayout *layout);

/* Some snapshots of the data multiplied the ways of attention by those of the experts. An id that
 * names the published layout ("tp8_ep8") tells; where it does not, `multiplied` says that the
 * source cuts experts or shares them, never both, and `moe_tensor` is then what was multiplied. */
void point_layout_undo_product(const char *id, int multiplied, PointLayout *layout);

#endif

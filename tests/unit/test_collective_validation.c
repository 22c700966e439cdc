/* Published collectives against predictions: the errors that are promised, on rows that no fit has
 * seen; the fit gives constants back that made its rows; rows that cannot be used say why. */
#include "sim/planning/collective_fit.h"
#include "tests/unit/shipped.h"

#include <math.h>

typedef struct Shipped {
    ConfigPaths paths;
    CsvTable table;
    CollectiveRows rows;
    KernelValidation result;
} Shipped;

static void check(Status status, const Error *error)
{
    if (status != STATUS_OK)
        fail_msg("%s", error->message);
}

static void read_shipped(Shipped *shipped)
{
    char path[2 * ERROR_PATH_BYTES];
    Error error = {0};
    *shipped = (Shipped){0};
    check(config_paths_find(NULL, &shipped->paths, &error), &error);
    snprintf(path, sizeof path, "%s/measurements/collectives.csv", shipped->paths.root);
    check(csv_read(path, &shipped->table, &error), &error);
    check(collective_rows_read(&shipped->paths, &shipped->table, NULL, 0, &shipped->rows, &error),
          &error);
    check(collective_validate(&shipped->rows, KERNEL_ALL, "collectives.csv", &shipped->result,
                              &error),
          &error);
}

static void free_shipped(Shipped *shipped)
{
    kernel_validation_free(&shipped->result);
    collective_rows_free(&shipped->rows);
    csv_free(&shipped->table);
}

/* Groups that a row must be in; NULL: any. */
typedef struct Selection {
    const char *what, *place, *fit, *source;
    int held_back;
    size_t rows;
    double bound;
} Selection;

static int selects(const Selection *selection, const KernelRow *row)
{
    return row->held_back == selection->held_back && strstr(row->group[0], selection->place) &&
           (selection->fit == NULL || strcmp(row->group[3], selection->fit) == 0) &&
           (selection->source == NULL || strstr(row->group[2], selection->source) != NULL);
}

static void check_error(const Shipped *shipped, const Selection *selection)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < shipped->result.row_count; i++)
        if (selects(selection, &shipped->result.rows[i])) {
            sum += fabs(shipped->result.rows[i].error);
            count++;
        }
    print_message("  %s: %zu rows, mean error %.1f%%\n", selection->what, count,
                  100 * sum / (double)count);
    assert_int_equal(count, selection->rows);
    assert_true(sum / (double)count <= selection->bound);
}

/* Of the sources that constants are fitted to, the fifth that is held back. */
static void held_back_rows(void **state)
{
    (void)state;
    static const Selection SELECTIONS[] = {
        {"NVLink", "in a node, graph", NULL, NULL, 1, 192, 0.065},
        {"H100, 32 to 8,192 GPUs", "nodes, 32+ GPUs", "infiniband-ndr", NULL, 1, 14, 0.05},
        {"dispatch and combine in a node", "experts, in a node", "dgx-h100", NULL, 1, 8, 0.05},
        {"dispatch and combine, 2 and 4 nodes", "experts, nodes", "dgx-h100", NULL, 1, 31, 0.05},
        {"low latency in a node", "low lat., in a node", "dgx-h100", NULL, 1, 5, 0.05},
        {"low latency, 2 to 8 nodes", "low lat., nodes", "dgx-h100", NULL, 1, 9, 0.05},
    };
    Shipped shipped;
    read_shipped(&shipped);
    for (size_t i = 0; i < sizeof SELECTIONS / sizeof SELECTIONS[0]; i++)
        check_error(&shipped, &SELECTIONS[i]);
    free_shipped(&shipped);
}

/* Sources that no fit has seen. The last is the worst that is known: DeepEP on 8 nodes at a third
 * of the ports' rate, which DeepSeek's own table does not show; the bound says that no cause is
 * modelled, not that the prediction is good. */
static void other_laboratories(void **state)
{
    (void)state;
    static const Selection SELECTIONS[] = {
        {"Azure, launched alone", "in a node, eager", "in no fit", "Azure", 1, 52, 0.09},
        {"DeepSeek, low latency, 2 to 32 nodes", "low lat., nodes", "in no fit", "DeepEP", 1, 8,
         0.08},
        {"8 nodes, unexplained", "experts, nodes", "in no fit", "aiconfigurator", 1, 76, 0.45},
    };
    Shipped shipped;
    read_shipped(&shipped);
    for (size_t i = 0; i < sizeof SELECTIONS / sizeof SELECTIONS[0]; i++)
        check_error(&shipped, &SELECTIONS[i]);
    free_shipped(&shipped);
}

/* ---- fit ---------------------------------------------------------------------------------------
 */

#define HEADER "notes,time_us,msg_bytes,collective,fabric,n_nodes,n_gpus,gpu,locator,source\n"

enum { TEXT_BYTES = 1 << 16 };

/* All-gathers and all-reduces as the catalogue itself predicts them, in a shuffled column order. */
static void made_rows(char *text)
{
    HardwareSpec machine = shipped_hardware("a100-80g-hdr");
    machine.node.eager_launch_s = 0;
    size_t used = (size_t)snprintf(text, TEXT_BYTES, "%s", HEADER);
    for (double ranks = 2; ranks <= 8; ranks *= 2)
        for (double bytes = 1024; bytes < 1e9; bytes *= 2)
            used += (size_t)snprintf(
                text + used, TEXT_BYTES - used,
                ",%.12g,%.17g,all_gather,NVLink3/NVSwitch,1,%g,A100-SXM-80G,nccl_perf,ai-dynamo/"
                "x\n",
                1e6 * collective_seconds(&machine, COLLECTIVE_ALL_GATHER, bytes, ranks, 8), bytes,
                ranks);
    assert_true(used < TEXT_BYTES);
}

static double fitted(const CollectiveUnitFit *fit, const char *key)
{
    for (size_t i = 0; i < fit->value_count; i++)
        if (strcmp(fit->values[i].key, key) == 0)
            return fit->values[i].value;
    fail_msg("no value %s", key);
    return 0;
}

static void known_constants_come_back(void **state)
{
    (void)state;
    static char text[TEXT_BYTES];
    const char *const names[] = {"dgx-a100"};
    const CollectiveFit truth = shipped_hardware("a100-80g-hdr").node.all_gather;
    Error error = {0};
    ConfigPaths paths;
    CsvTable table;
    CollectiveRows rows;
    CollectiveFits fits;
    made_rows(text);
    check(config_paths_find(NULL, &paths, &error), &error);
    check(csv_read_text("made.csv", text, strlen(text), &table, &error), &error);
    check(collective_rows_read(&paths, &table, NULL, 0, &rows, &error), &error);
    check(collective_fit(&rows, names, 1, &fits, &error), &error);
    assert_int_equal(fits.count, 1);
    const CollectiveUnitFit *fit = &fits.fits[0];
    assert_string_equal(fit->group, "all_gather");
    assert_near(fitted(fit, "short"), truth.short_bytes / 1024, 1e-9);
    assert_near(fitted(fit, "start"), 1e6 * truth.base_s, 0.02e6 * truth.base_s);
    assert_near(fitted(fit, "per_rank"), 1e6 * truth.per_rank_s, 0.02e6 * truth.per_rank_s);
    assert_near(fitted(fit, "bandwidth"), 1e-9 * truth.bytes_per_s, 0.01e-9 * truth.bytes_per_s);
    assert_near(fitted(fit, "two_rank_bandwidth"), truth.two_rank_bandwidth, 0.01);
    assert_true(fit->fitted.max_abs < 0.01 && fit->held_back.max_abs < 0.01);
    assert_true(fit->fitted.n + fit->held_back.n == rows.count && fit->held_back.n > 0);

    const char *const nobody[] = {"dgx-a1000"};
    collective_fits_free(&fits);
    assert_int_equal(collective_fit(&rows, nobody, 1, &fits, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "dgx-a1000"));
    collective_fits_free(&fits);
    collective_rows_free(&rows);
    csv_free(&table);
}

/* ---- rows that cannot be used ------------------------------------------------------------------
 */

static void bad_rows(void **state)
{
    (void)state;
    static const struct {
        const char *row, *reason;
    } ROWS[] = {
        {",8,1024,all_gather,x,1,8,H100-SXM,l,s\n", NULL},
        {",8,1024,all_gather,x,1,8,H900-SXM,l,s\n", "no machine"},
        {",8,1024,broadcast,x,1,8,H100-SXM,l,s\n", "broadcast"},
        {",8,,all_gather,x,1,8,H100-SXM,l,s\n", "message size"},
        {",,1024,all_gather,x,1,8,H100-SXM,l,s\n", "no time"},
        {",soon,1024,all_gather,x,1,8,H100-SXM,l,s\n", "'soon'"},
        {",-8,1024,all_gather,x,1,8,H100-SXM,l,s\n", "'-8'"},
        {",8,1e99,all_gather,x,1,8,H100-SXM,l,s\n", "'1e99'"},
        {",8,1024,all_gather,x,1,1,H100-SXM,l,s\n", "n_gpus '1'"},
        {",8,1024,all_gather,x,1,7.5,H100-SXM,l,s\n", "n_gpus '7.5'"},
        {",8,1024,all_gather,x,9,8,H100-SXM,l,s\n", "n_nodes '9'"},
        {",8,1024,all_gather,x,0,8,H100-SXM,l,s\n", "n_nodes '0'"},
        {",8,1024,all_reduce,x,1,8,MI300X,l,s\n", "not in configs/hw"},
        {",8,1024\n", "cells"},
    };
    enum { ROW_COUNT = sizeof ROWS / sizeof ROWS[0] };
    char text[2048] = HEADER;
    Error error = {0};
    ConfigPaths paths;
    CsvTable table;
    CollectiveRows rows;
    for (size_t i = 0; i < ROW_COUNT; i++)
        strcat(text, ROWS[i].row);
    check(config_paths_find(NULL, &paths, &error), &error);
    check(csv_read_text("bad.csv", text, strlen(text), &table, &error), &error);
    check(collective_rows_read(&paths, &table, NULL, 0, &rows, &error), &error);
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.skipped_count, ROW_COUNT - 1);
    for (size_t i = 1; i < ROW_COUNT; i++) {
        assert_int_equal(rows.skipped[i - 1].line, i + 2);
        if (strstr(rows.skipped[i - 1].reason, ROWS[i].reason) == NULL)
            fail_msg("'%s' does not say '%s'", rows.skipped[i - 1].reason, ROWS[i].reason);
    }
    collective_rows_free(&rows);
    csv_free(&table);

    const char *const lacking = "source,gpu\na,b\n";
    check(csv_read_text("lacking.csv", lacking, strlen(lacking), &table, &error), &error);
    assert_int_equal(collective_rows_read(&paths, &table, NULL, 0, &rows, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "locator"));
    collective_rows_free(&rows);
    csv_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_back_rows),
        cmocka_unit_test(other_laboratories),
        cmocka_unit_test(known_constants_come_back),
        cmocka_unit_test(bad_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a measuring program writes and the planner reads: JSON lines on standard output, one object
 * a line, in this order. Keys not named here are allowed and ignored.
 *
 *   {"v":1,"record":"provenance","class":"gpu","device":"NVIDIA H100 80GB
 * HBM3","backend":"cuda",...}
 *   {"v":1,"record":"progress","done":3,"of":40,"left_s":12.5,"what":"gemm 64x4096x1024"}
 *   {"v":1,"record":"point","op":"moe_gemm","impl":"loop","dtype":"bf16","pass":"forward",
 *    "role":"fit","skew":"zipf1.0","m":512,"n":3584,"k":1024,"experts":4,"m_loads":[300,150,62,0],
 *    "cold":1,"us_med":..,"us_mad":..,"us_p10":..,"us_p90":..,"reps":30,"dropped":0,
 *    "flops":..,"bytes":..}
 *   {"v":1,"record":"end","points":38}
 *
 * First the provenance, last the end with the number of points: without it the output was cut short
 * and nothing of it counts. Progress lines may stand anywhere between and are not stored.
 *
 * Provenance: class (gpu, cpu), device, backend, library (name, version, core name), driver,
 * runtime, uuid, threads, clocks (what was read, as text), host_load, utc, command, version (of the
 * program), note. Unknown: left out. Units in names: us microseconds; flops and bytes are counts.
 *
 * Shapes of the operators (CAL_OP_NAMES); what an operator does not use is left out. `flops` counts
 * a multiply-add twice; `bytes` is the least traffic: every operand and result once, of an expert
 * that got no token nothing.
 *   gemm        C[m,n] = A[m,k] B[k,n]; pass dgrad and wgrad: the products of the backward pass, m,
 *               n, k of that product itself
 *   moe_gemm    for each expert C_e[m_e,n] = A_e[m_e,k] B_e[k,n]; m_loads the m_e, m their sum
 *   router      m tokens, n experts, k hidden, top_k: logits, choice, softmax, sort by expert
 *   permute     m rows of n elements gathered by expert
 *   activation  m rows to n elements each; gated: from 2 n
 *   combine     m rows of n elements summed into m / top_k tokens by weight
 *   attention   `groups` heads of all sequences: QK^T [m,n] over k, softmax, PV (a proxy: no fused
 *               kernel)
 *   copy        bytes: read and written together; `skew` names the path: device, to_device,
 *               from_device
 *   sync        the wait for the expert loads on the host
 *   launch      an empty kernel; `groups` > 1: a graph of so many, the time of one
 *   layer       the whole layer: m tokens, n ffn, k hidden, experts, top_k, gated, m_loads; pass
 *               "forward" or "training" (forward and backward)
 *   all_to_all, all_reduce, all_gather, send_recv: `groups` ranks, bytes a rank
 *
 * role: "fit"; "check" (never fitted, held against the fit); "sentinel" (one fixed product, first,
 * in the middle and last: a machine that changed meanwhile shows).
 *
 * Statistics are of the samples kept: median, median absolute deviation, 10th and 90th percentile;
 * never the mean. `cold`: operands were not in the cache before the sample (flushed, or rotated).
 *
 * Exit status of a measuring program: 0 done; 3 no usable device (one line on standard error says
 * why); 4 a wrong result; 5 a call of the device's library failed, or too many samples were
 * disturbed; 64 usage.
 *
 * Arguments: [--quick] [--threads N] [--seed N] [--list] (--list: provenance and end only).
 *
 * This header and records_write.c need nothing but the C library and compile as C++ too.
 */
#ifndef HW_CALIBRATION_RECORDS_H
#define HW_CALIBRATION_RECORDS_H

#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CAL_VERSION = 1, CAL_NAME_BYTES = 48, CAL_TEXT_BYTES = 256, CAL_MAX_LOADS = 1024 };

/* Exit statuses of a measuring program. */
enum {
    CAL_EXIT_DONE = 0,
    CAL_EXIT_NO_DEVICE = 3,
    CAL_EXIT_WRONG = 4,
    CAL_EXIT_FAILED = 5,
    CAL_EXIT_USAGE = 64
};

typedef enum CalOp {
    CAL_GEMM,
    CAL_MOE_GEMM,
    CAL_ROUTER,
    CAL_PERMUTE,
    CAL_ACTIVATION,
    CAL_COMBINE,
    CAL_ATTENTION,
    CAL_COPY,
    CAL_SYNC,
    CAL_LAUNCH,
    CAL_LAYER,
    CAL_ALL_TO_ALL,
    CAL_ALL_REDUCE,
    CAL_ALL_GATHER,
    CAL_SEND_RECV,
    CAL_OPS
} CalOp;
extern const char *const CAL_OP_NAMES[CAL_OPS];

typedef enum CalPass {
    CAL_FORWARD,
    CAL_DGRAD,
    CAL_WGRAD,
    CAL_BACKWARD,
    CAL_TRAINING,
    CAL_PASSES
} CalPass;
extern const char *const CAL_PASS_NAMES[CAL_PASSES];

typedef enum CalRole { CAL_FIT, CAL_CHECK, CAL_SENTINEL, CAL_ROLES } CalRole;
extern const char *const CAL_ROLE_NAMES[CAL_ROLES];

typedef enum CalClass { CAL_GPU, CAL_CPU, CAL_CLASSES } CalClass;
extern const char *const CAL_CLASS_NAMES[CAL_CLASSES];

/* Texts that are empty and numbers that are negative are unknown. */
typedef struct CalProvenance {
    CalClass device_class;
    char device[CAL_TEXT_BYTES];
    char backend[CAL_NAME_BYTES];
    char library[CAL_TEXT_BYTES];
    char driver[CAL_NAME_BYTES], runtime[CAL_NAME_BYTES], uuid[CAL_NAME_BYTES];
    char clocks[CAL_TEXT_BYTES];
    char utc[CAL_NAME_BYTES];
    char command[CAL_TEXT_BYTES];
    char version[CAL_NAME_BYTES];
    char note[CAL_TEXT_BYTES];
    double threads, host_load;
} CalProvenance;

typedef struct CalPoint {
    CalOp op;
    CalPass pass;
    CalRole role;
    char impl[CAL_NAME_BYTES], dtype[CAL_NAME_BYTES], skew[CAL_NAME_BYTES];
    double m, n, k, groups, experts, top_k; /* 0: not used */
    int gated, cold;
    size_t load_count;
    unsigned loads[CAL_MAX_LOADS];
    double us_med, us_mad, us_p10, us_p90;
    double reps, dropped; /* samples kept, and samples that something else disturbed */
    double flops, bytes;
    double moved_bytes, reread_bytes; /* of published layers: hw/moe_layer.h */
} CalPoint;

/* Each writes one line and flushes it; 0, or -1 when the stream fails. */
int cal_write_provenance(FILE *out, const CalProvenance *provenance);
int cal_write_progress(FILE *out, size_t done, size_t of, double left_s, const char *what);
int cal_write_point(FILE *out, const CalPoint *point);
int cal_write_end(FILE *out, size_t points);

/* Median, median absolute deviation and percentiles of `count` samples in microseconds, which are
 * sorted; into the point. */
void cal_statistics(double *samples_us, size_t count, CalPoint *point);

#ifdef __cplusplus
}
#endif

#endif

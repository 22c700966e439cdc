#include "sim/planning/measured_laying.h"

#include "configs/reader/scenario_field.h"
#include "configs/reader/text.h"
#include "models/memory.h"
#include "models/plan_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const MEASURED_DEFAULT_NAMES[MEASURED_DEFAULTS] = {
    [DEFAULT_GPU] = "gpu",
    [DEFAULT_EVIDENCE] = "gpu: no step measured on it",
    [DEFAULT_STACK] = "stack",
    [DEFAULT_LAYERS] = "n_layers",
    [DEFAULT_D_MODEL] = "d_model",
    [DEFAULT_HEADS] = "n_heads",
    [DEFAULT_EXPERTS] = "n_experts",
    [DEFAULT_TOP_K] = "top_k",
    [DEFAULT_KV_HEADS] = "n_kv_heads",
    [DEFAULT_HEAD_DIM] = "head_dim",
    [DEFAULT_D_FF] = "d_ff",
    [DEFAULT_GATED] = "gated_mlp",
    [DEFAULT_TIED] = "tied_embeddings",
    [DEFAULT_VOCAB] = "vocab",
    [DEFAULT_SHARED] = "n_shared_experts",
    [DEFAULT_GPUS] = "n_gpus",
    [DEFAULT_TENSOR] = "tp",
    [DEFAULT_PIPELINE] = "pp",
    [DEFAULT_EXPERT] = "ep",
    [DEFAULT_EXPERT_TENSOR] = "expert_tensor",
    [DEFAULT_CONTEXT] = "cp",
    [DEFAULT_DATA] = "dp",
    [DEFAULT_NETWORK] = "inter_node_gbps_per_gpu",
    [DEFAULT_LENGTH] = "seq_len",
    [DEFAULT_SEQUENCE] = "sequence_parallel",
    [DEFAULT_ZERO] = "zero_stage",
    [DEFAULT_RECOMPUTE] = "recompute",
    [DEFAULT_MICRO] = "micro_batch",
    [DEFAULT_PRECISION] = "precision",
    [DEFAULT_BATCH] = "global_batch_seqs",
    [DEFAULT_CHUNKS] = "vpp",
    [DEFAULT_CONVENTION] = "mfu_convention",
    [DEFAULT_SHARE] = "mfu as a share of 1",
    [DEFAULT_RAISED] = "recompute raised until it fits",
};

const char *default_text(const DefaultsTaken *defaults, MeasuredDefault which,
                         char text[MEASURED_DEFAULT_BYTES])
{
    if ((defaults->from_model >> which & 1u) != 0)
        snprintf(text, MEASURED_DEFAULT_BYTES, "%s from model %.48s", MEASURED_DEFAULT_NAMES[which],
                 defaults->model);
    else
        snprintf(text, MEASURED_DEFAULT_BYTES, "%s", MEASURED_DEFAULT_NAMES[which]);
    return text;
}

/* ---- parts of the work -------------------------------------------------------------------------
 */

void laying_refuse(Laying *laying, const char *format, ...)
{
    char message[ERROR_TEXT_BYTES];
    if (laying->status != STATUS_OK)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    laying->status = error_set(laying->error, STATUS_INVALID, "%s", message);
}

void laying_put(Laying *laying, const char *path, double value)
{
    if (laying->status == STATUS_OK)
        laying->status = scenario_set_number(laying->out, path, value, laying->error);
}

void laying_put_word(Laying *laying, const char *path, const char *word)
{
    if (laying->status == STATUS_OK)
        laying->status = scenario_set_word(laying->out, path, word, laying->error);
}

double laying_default(Laying *laying, MeasuredDefault which, double value)
{
    default_take(&laying->defaults, which);
    return value;
}

double laying_stated(Laying *laying, MeasuredDefault which, double value, double fallback)
{
    return measured_has(value) ? value : laying_default(laying, which, fallback);
}

double laying_needed(Laying *laying, const char *column, double value)
{
    if (!measured_has(value))
        laying_refuse(laying, "%s is not stated", column);
    return value;
}

/* ---- the row -----------------------------------------------------------------------------------
 */

/* Words that this program has for the row's; a word that leaves something open is a default. */
static void spell(Laying *laying)
{
    const MeasuredRules *rules = laying->base->rules;
    Measurement *row = &laying->row;
    int assumed;
    row->kind = rules_spelling(rules, "kind", row->kind, &assumed);
    row->schedule = rules_spelling(rules, "schedule", row->schedule, &assumed);
    row->recompute = rules_spelling(rules, "recompute", row->recompute, &assumed);
    if (assumed)
        default_take(&laying->defaults, DEFAULT_RECOMPUTE);
}

/* The network is stated per GPU; the node says how many ports share it. */
static void lay_hardware(Laying *laying)
{
    const Measurement *row = &laying->row;
    NodeSpec *node = &laying->out->hardware.node;
    const double bits_per_byte = 8.0, giga = 1e9;
    const double gpus = row->gpus;
    if (laying->status != STATUS_OK)
        return;
    if (measured_has(row->gpus_per_node) && row->gpus_per_node != node->gpus) {
        node->nics *= row->gpus_per_node / node->gpus;
        node->gpus = row->gpus_per_node;
    }
    laying_put(laying, "hardware.gpus", gpus);
    if (measured_has(row->nic_gbps))
        laying_put(laying, "hardware.node.nic_bandwidth",
                   row->nic_gbps * giga / bits_per_byte * node->gpus / node->nics);
    else if (gpus > node->gpus)
        default_take(&laying->defaults, DEFAULT_NETWORK);
}

/* As many sequences as hold the usual number of tokens, in whole steps of all replicas, and enough
 * of them to fill the pipeline. */
static double usual_batch(const Laying *laying, double one, double length)
{
    const double tokens = laying->base->scenario.training.batch_tokens;
    const double steps = round(tokens / (length * one));
    return one * fmax(laying->out->training.parallel.pipeline, steps);
}

static void lay_batch(Laying *laying)
{
    const Measurement *row = &laying->row;
    const ParallelSpec *parallel = &laying->out->training.parallel;
    double micro = laying_stated(laying, DEFAULT_MICRO, row->micro_batch, parallel->micro_batch);
    double length = row->sequence_length;
    if (!measured_has(length) && laying->named != NULL &&
        measured_has(laying->named->sequence_length)) {
        laying->defaults.from_model |= 1ull << DEFAULT_LENGTH;
        laying->defaults.model = laying->named->name;
        length = laying_default(laying, DEFAULT_LENGTH, laying->named->sequence_length);
    }
    laying_needed(laying, "seq_len", length);
    double one = parallel->data * micro, batch = row->batch_sequences;
    if (laying->status != STATUS_OK)
        return;
    if (!measured_has(batch) && measured_has(row->micro_batch) && parallel->pipeline == 1)
        batch = laying_default(laying, DEFAULT_BATCH, one);
    if (!measured_has(batch))
        batch = laying_default(laying, DEFAULT_BATCH, usual_batch(laying, one, length));
    if (fmod(batch, one) != 0)
        laying_refuse(laying, "global_batch_seqs %g is no multiple of dp %g x micro_batch %g",
                      batch, parallel->data, micro);
    laying_put(laying, "training.parallel.micro_batch", micro);
    laying_put(laying, "training.sequence_length", length);
    laying_put(laying, "training.batch_tokens", batch * length);
}

static void lay_precision(Laying *laying)
{
    char brief[TEXT_BRIEF_BYTES];
    int assumed;
    const char *word =
        rules_spelling(laying->base->rules, "precision", laying->row.precision, &assumed);
    if (word[0] == '\0') {
        default_take(&laying->defaults, DEFAULT_PRECISION);
        word = "bf16";
    }
    if (strcmp(word, "bf16") != 0 && strcmp(word, "fp8") != 0 && strcmp(word, "fp32") != 0) {
        laying_refuse(laying, "precision '%s' is not simulated",
                      text_brief(brief, laying->row.precision));
        return;
    }
    laying_put_word(laying, "training.precision", word);
    if (laying->out->training.precision == PRECISION_FP8 &&
        !(laying->out->hardware.gpu.peak_fp8_flops_per_s > 0))
        laying_refuse(laying, "precision fp8 on a GPU that has none");
}

/* A row ran; where what it computed again is a default and it would not have fitted with that, it
 * computed more again: the least that fits. Nothing changes where nothing fits. */
static void raise_recomputation(Scenario *scenario, DefaultsTaken *defaults)
{
    Recompute *recompute = &scenario->training.parallel.recompute;
    const Recompute assumed = *recompute;
    if (!default_taken(defaults, DEFAULT_RECOMPUTE))
        return;
    for (Recompute more = assumed; more <= RECOMPUTE_FULL; more++) {
        *recompute = more;
        if (!memory_fits(scenario))
            continue;
        if (more != assumed)
            default_take(defaults, DEFAULT_RAISED);
        return;
    }
    *recompute = assumed;
}

/* Keys of a scenario as the columns that they were read from. */
static void name_columns(Error *error)
{
    static const struct {
        const char *key, *column;
    } COLUMNS[] = {{"training.parallel.tensor", "tp"},
                   {"training.parallel.pipeline", "pp"},
                   {"training.parallel.virtual_stages", "vpp"},
                   {"training.parallel.data", "dp"},
                   {"training.parallel.expert_tensor", "the experts' tensor ways beside ep"},
                   {"training.parallel.expert", "ep"},
                   {"training.parallel.context", "cp"},
                   {"training.parallel.zero_stage", "zero_stage"},
                   {"training.parallel.sequence_parallel", "sequence_parallel"},
                   {"training.parallel.micro_batch", "micro_batch"},
                   {"training.parallel.schedule", "schedule"},
                   {"training.parallel.recompute", "recompute"},
                   {"training.sequence_length", "seq_len"},
                   {"training.batch_tokens", "global_batch_seqs x seq_len"},
                   {"training.precision", "precision"},
                   {"hardware.node.nic_bandwidth", "inter_node_gbps_per_gpu"},
                   {"hardware.node.gpus", "gpus_per_node"},
                   {"hardware.gpus", "n_gpus"},
                   {"model.experts_per_token", "top_k"},
                   {"model.experts", "n_experts"},
                   {"model.shared_experts", "n_shared_experts"},
                   {"model.moe_every", "moe_layer_every"},
                   {"model.layers", "n_layers"},
                   {"model.kv_heads", "n_kv_heads"},
                   {"model.heads", "n_heads"},
                   {"model.head_dim", "head_dim"},
                   {"model.vocab_size", "vocab"},
                   {"model.d_model", "d_model"},
                   {"model.d_ff", "d_ff"}};
    char text[ERROR_TEXT_BYTES];
    for (size_t i = 0; i < sizeof COLUMNS / sizeof COLUMNS[0]; i++) {
        char *at = strstr(error->message, COLUMNS[i].key);
        if (at == NULL)
            continue;
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - error->message), error->message,
                 COLUMNS[i].column, at + strlen(COLUMNS[i].key));
        memcpy(error->message, text, sizeof text);
        i--; /* it may be there again */
    }
}

/* Ways that are not stated were taken as one each; what stands against that is told with them. */
static void check_assumed_ways(Laying *laying, const Measurement *row)
{
    char reason[SKIP_REASON_BYTES];
    const char *missing = !measured_has(row->tensor)
                              ? (!measured_has(row->pipeline) ? "tp and pp are" : "tp is")
                              : "pp is";
    if (laying->status == STATUS_OK && !memory_fits(laying->out))
        laying_refuse(laying, "the model does not fit on a GPU");
    if (laying->status != STATUS_INVALID || laying->error == NULL)
        return;
    snprintf(reason, sizeof reason, "%.*s", SKIP_REASON_BYTES - 1, laying->error->message);
    error_set(laying->error, STATUS_INVALID, "%s not stated, and with 1: %s", missing, reason);
}

Status measured_scenario(const MeasuredBase *base, const Measurement *row, Scenario *scenario,
                         DefaultsTaken *defaults, Error *error)
{
    Laying laying = {.base = base, .row = *row, .out = scenario, .error = error};
    *scenario = base->scenario;
    snprintf(scenario->name, sizeof scenario->name, "%.*s", NAME_BYTES - 1, row->id);
    if (base->hardware_assumed)
        default_take(&laying.defaults, DEFAULT_GPU);
    if (base->unmeasured)
        default_take(&laying.defaults, DEFAULT_EVIDENCE);
    if (base->stack_assumed)
        default_take(&laying.defaults, DEFAULT_STACK);
    spell(&laying);
    laying_name_model(&laying);
    laying_fill_ways(&laying);
    lay_hardware(&laying);
    laying_model(&laying);
    laying_layout(&laying);
    lay_batch(&laying);
    lay_precision(&laying);
    if (laying.status == STATUS_OK)
        laying.status = plan_check(scenario, error);
    if (laying.status == STATUS_OK)
        raise_recomputation(scenario, &laying.defaults);
    if (laying.status == STATUS_INVALID && error != NULL)
        name_columns(error);
    if (laying.ways_assumed)
        check_assumed_ways(&laying, row);
    *defaults = laying.defaults;
    return laying.status;
}

void measured_layout(const Scenario *scenario, char text[MEASURED_LAYOUT_BYTES])
{
    static const char *const RECOMPUTE[] = {"", " sel", " full"};
    const ParallelSpec *parallel = &scenario->training.parallel;
    const struct {
        const char *name;
        double ways;
    } WAYS[] = {{"TP", parallel->tensor},         {"PP", parallel->pipeline},
                {"VP", parallel->virtual_stages}, {"CP", parallel->context},
                {"EP", parallel->expert},         {"DP", parallel->data},
                {"Z", parallel->zero_stage}};
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++)
        if (WAYS[i].ways > 1 && used < MEASURED_LAYOUT_BYTES - 16)
            used += (size_t)snprintf(text + used, MEASURED_LAYOUT_BYTES - used, "%s%g ",
                                     WAYS[i].name, WAYS[i].ways);
    snprintf(text + used, MEASURED_LAYOUT_BYTES - used, "mb%g%s", parallel->micro_batch,
             RECOMPUTE[parallel->recompute]);
}

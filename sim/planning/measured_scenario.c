#include "sim/planning/measured_scenario.h"

#include "configs/reader/sample.h"
#include "configs/reader/scenario_field.h"
#include "configs/reader/text.h"
#include "models/memory.h"
#include "models/plan_check.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const MEASURED_DEFAULT_NAMES[MEASURED_DEFAULTS] = {
    [DEFAULT_GPU] = "gpu",
    [DEFAULT_STACK] = "stack",
    [DEFAULT_KV_HEADS] = "n_kv_heads",
    [DEFAULT_HEAD_DIM] = "head_dim",
    [DEFAULT_D_FF] = "d_ff",
    [DEFAULT_GATED] = "gated_mlp",
    [DEFAULT_TIED] = "tied_embeddings",
    [DEFAULT_VOCAB] = "vocab",
    [DEFAULT_SHARED] = "n_shared_experts",
    [DEFAULT_TENSOR] = "tp",
    [DEFAULT_PIPELINE] = "pp",
    [DEFAULT_EXPERT] = "ep",
    [DEFAULT_EXPERT_TENSOR] = "expert_tensor",
    [DEFAULT_CONTEXT] = "cp",
    [DEFAULT_DATA] = "dp",
    [DEFAULT_NETWORK] = "inter_node_gbps_per_gpu",
    [DEFAULT_SEQUENCE] = "sequence_parallel",
    [DEFAULT_ZERO] = "zero_stage",
    [DEFAULT_RECOMPUTE] = "recompute",
    [DEFAULT_MICRO] = "micro_batch",
    [DEFAULT_PRECISION] = "precision",
    [DEFAULT_BATCH] = "global_batch_seqs",
    [DEFAULT_CHUNKS] = "vpp",
    [DEFAULT_CONVENTION] = "mfu_convention",
    [DEFAULT_RAISED] = "recompute raised until it fits",
};

/* ---- bases -------------------------------------------------------------------------------------
 */

struct MeasuredBase {
    char hardware[NAME_BYTES], stack[NAME_BYTES];
    int hardware_assumed, stack_assumed;
    size_t fact_count;
    const char *facts[MAX_FACTS]; /* into the rules */
    Status status;                /* of reading it; the reason for other rows that ask again */
    Error error;
    Scenario scenario;
};

const char *measured_base_hardware(const MeasuredBase *base)
{
    return base->hardware;
}

const char *measured_base_stack(const MeasuredBase *base)
{
    return base->stack;
}

void measured_bases_free(MeasuredBases *bases)
{
    for (size_t i = 0; i < bases->count; i++)
        free(bases->bases[i]);
    free(bases->bases);
    bases->bases = NULL;
    bases->count = bases->capacity = 0;
}

static int has_fact(const MeasuredBase *base, const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < base->fact_count; i++)
        if (strncmp(base->facts[i], key, length) == 0 && base->facts[i][length] == '=')
            return 1;
    return 0;
}

static int same_base(const MeasuredBase *a, const MeasuredBase *b)
{
    if (strcmp(a->hardware, b->hardware) != 0 || strcmp(a->stack, b->stack) != 0 ||
        a->hardware_assumed != b->hardware_assumed || a->stack_assumed != b->stack_assumed ||
        a->fact_count != b->fact_count)
        return 0;
    for (size_t i = 0; i < a->fact_count; i++)
        if (strcmp(a->facts[i], b->facts[i]) != 0)
            return 0;
    return 1;
}

/* A name that may be written into a configuration as it is. */
static int is_plain_name(const char *name)
{
    return name[0] != '\0' && strlen(name) < NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
               strlen(name);
}

/* The job's own numbers stand for themselves until a row is laid over them. */
static Status read_base(const MeasuredBases *bases, MeasuredBase *base, Error *error)
{
    char text[1024 + ERROR_PATH_BYTES];
    const char **sets = malloc((MAX_FACTS + bases->set_count) * sizeof *sets);
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *read = malloc(sizeof *read);
    Status status = STATUS_ENVIRONMENT;
    if (sets == NULL || errors == NULL || read == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    snprintf(text, sizeof text,
             "schema: 1\nbase: '%s/measurements/training_base.yaml'\n"
             "hardware: {base: %s, gpus: 1}\n"
             "training: {base: %s, tokens: 1T, batch_tokens: 1, sequence_length: 1}\n",
             bases->paths->root, base->hardware, base->stack);
    size_t count = 0;
    for (size_t i = 0; i < base->fact_count; i++)
        sets[count++] = base->facts[i];
    for (size_t i = 0; i < bases->set_count; i++)
        sets[count++] = bases->sets[i];
    status = scenario_read_text(bases->paths, "measured row", text, strlen(text), sets, count, read,
                                NULL, NULL, errors);
    if (status == STATUS_OK) {
        scenario_midpoint(read, &base->scenario);
    } else if (error != NULL) {
        *error = errors->errors[0];
        /* A fact that does not hold for this program is a reason to skip its rows. */
        for (size_t i = 0; status == STATUS_USAGE && i < base->fact_count; i++)
            if (strstr(error->file, base->facts[i]) != NULL)
                status = error->status = STATUS_INVALID;
        error->file[0] = '\0'; /* the text above is no file that a reader could open */
        error->line = error->column = 0;
    }
cleanup:
    free(sets);
    free(errors);
    free(read);
    return status;
}

static Status reserve_base(MeasuredBases *bases, Error *error)
{
    if (bases->count < bases->capacity)
        return STATUS_OK;
    size_t wanted = bases->capacity == 0 ? 32 : 2 * bases->capacity;
    MeasuredBase **grown = realloc(bases->bases, wanted * sizeof(MeasuredBase *));
    if (grown == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    bases->bases = grown;
    bases->capacity = wanted;
    return STATUS_OK;
}

Status measured_base(MeasuredBases *bases, const Measurement *row, const MeasuredBase **base,
                     Error *error)
{
    char brief[TEXT_BRIEF_BYTES];
    *base = NULL;
    MeasuredBase *wanted = calloc(1, sizeof *wanted);
    if (wanted == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    const char *hardware = rules_hardware(bases->rules, row, &wanted->hardware_assumed);
    const char *stack = rules_stack(bases->rules, row, &wanted->stack_assumed);
    Status status = STATUS_OK;
    if (hardware == NULL || !is_plain_name(hardware))
        status = error_set(error, STATUS_INVALID, "gpu '%s' is none of those in gpus.csv",
                           text_brief(brief, row->gpu));
    else if (stack == NULL || !is_plain_name(stack))
        status =
            error_set(error, STATUS_INVALID, "no software stack for this source in stacks.csv");
    if (status != STATUS_OK) {
        free(wanted);
        return status;
    }
    snprintf(wanted->hardware, sizeof wanted->hardware, "%s", hardware);
    snprintf(wanted->stack, sizeof wanted->stack, "%s", stack);
    wanted->fact_count = rules_facts(bases->rules, row, wanted->facts);
    for (size_t i = 0; i < bases->count; i++)
        if (same_base(bases->bases[i], wanted)) {
            free(wanted);
            *base = bases->bases[i];
            if ((*base)->status != STATUS_OK && error != NULL)
                *error = (*base)->error;
            return (*base)->status;
        }
    status = reserve_base(bases, error);
    if (status != STATUS_OK) {
        free(wanted);
        return status;
    }
    bases->bases[bases->count++] = wanted;
    wanted->status = read_base(bases, wanted, &wanted->error);
    if (wanted->status != STATUS_OK && error != NULL)
        *error = wanted->error;
    *base = wanted;
    return wanted->status;
}

/* ---- laying a row over its base ----------------------------------------------------------------
 */

/* Work on one row; the first failure stays. */
typedef struct Laying {
    const MeasuredBase *base;
    const Measurement *row;
    Scenario *out;
    unsigned defaults;
    Status status;
    Error *error;
} Laying;

static void refuse(Laying *laying, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void refuse(Laying *laying, const char *format, ...)
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

static void put(Laying *laying, const char *path, double value)
{
    if (laying->status == STATUS_OK)
        laying->status = scenario_set_number(laying->out, path, value, laying->error);
}

static void put_word(Laying *laying, const char *path, const char *word)
{
    if (laying->status == STATUS_OK)
        laying->status = scenario_set_word(laying->out, path, word, laying->error);
}

static double defaulted(Laying *laying, MeasuredDefault which, double value)
{
    laying->defaults |= 1u << which;
    return value;
}

static double stated(Laying *laying, MeasuredDefault which, double value, double fallback)
{
    return measured_has(value) ? value : defaulted(laying, which, fallback);
}

static double needed(Laying *laying, const char *column, double value)
{
    if (!measured_has(value))
        refuse(laying, "%s is not stated", column);
    return value;
}

/* Llama's code rounds 8/3 d_model up to a multiple of 256; Megatron's default is 4 d_model. */
static double usual_d_ff(double d_model, int gated)
{
    return gated ? ceil(8.0 * d_model / 3.0 / 256.0) * 256.0 : 4.0 * d_model;
}

static double head_dim(Laying *laying)
{
    const Measurement *row = laying->row;
    if (measured_has(row->head_dim))
        return row->head_dim;
    if (has_fact(laying->base, "model.head_dim"))
        return defaulted(laying, DEFAULT_HEAD_DIM, laying->base->scenario.model.head_dim);
    if (fmod(row->d_model, row->heads) != 0)
        refuse(laying, "head_dim is not stated and d_model %g is no multiple of n_heads %g",
               row->d_model, row->heads);
    return defaulted(laying, DEFAULT_HEAD_DIM, row->d_model / row->heads);
}

static void lay_experts(Laying *laying)
{
    const Measurement *row = laying->row;
    int is_moe = strcmp(row->kind, "moe") == 0;
    if (!measured_has(row->experts) || row->experts == 1) {
        if (is_moe)
            refuse(laying, "an MoE model whose n_experts is not stated");
        put(laying, "model.experts", 1);
        put(laying, "model.experts_per_token", 1);
        return;
    }
    put(laying, "model.experts", row->experts);
    put(laying, "model.experts_per_token", needed(laying, "top_k", row->top_k));
    put(laying, "model.shared_experts", stated(laying, DEFAULT_SHARED, row->shared_experts, 0));
    if (!measured_has(row->d_ff) && !has_fact(laying->base, "model.d_ff"))
        refuse(laying, "an MoE model whose d_ff is not stated");
    if (measured_has(row->moe_every) && row->moe_every > 1)
        put(laying, "model.moe_every", row->moe_every);
}

static void lay_model(Laying *laying)
{
    const Measurement *row = laying->row;
    const ModelSpec *base = &laying->base->scenario.model;
    double layers = needed(laying, "n_layers", row->layers);
    double d_model = needed(laying, "d_model", row->d_model);
    double heads = needed(laying, "n_heads", row->heads);
    if (laying->status != STATUS_OK)
        return;
    double usually_gated = has_fact(laying->base, "model.gated_mlp") ? base->gated_mlp : 0;
    int gated = stated(laying, DEFAULT_GATED, row->gated_mlp, usually_gated) != 0;
    double d_ff = has_fact(laying->base, "model.d_ff") ? base->d_ff : usual_d_ff(d_model, gated);
    put(laying, "model.layers", layers);
    put(laying, "model.d_model", d_model);
    put(laying, "model.heads", heads);
    put(laying, "model.kv_heads", stated(laying, DEFAULT_KV_HEADS, row->kv_heads, heads));
    put(laying, "model.head_dim", head_dim(laying));
    put(laying, "model.d_ff", stated(laying, DEFAULT_D_FF, row->d_ff, d_ff));
    put(laying, "model.vocab_size", stated(laying, DEFAULT_VOCAB, row->vocab, base->vocab_size));
    put_word(laying, "model.gated_mlp", gated ? "true" : "false");
    laying->defaults |= 1u << DEFAULT_TIED;
    if (!has_fact(laying->base, "model.tied_embeddings"))
        put_word(laying, "model.tied_embeddings", gated ? "false" : "true");
    lay_experts(laying);
    if (laying->status == STATUS_OK)
        snprintf(laying->out->model.name, sizeof laying->out->model.name, "%.*s", NAME_BYTES - 1,
                 row->model);
}

/* The network is stated per GPU; the node says how many ports share it. */
static void lay_hardware(Laying *laying)
{
    const Measurement *row = laying->row;
    NodeSpec *node = &laying->out->hardware.node;
    const double bits_per_byte = 8.0, giga = 1e9;
    double gpus = needed(laying, "n_gpus", row->gpus);
    if (measured_has(row->gpus_per_node) && row->gpus_per_node != node->gpus) {
        node->nics *= row->gpus_per_node / node->gpus;
        node->gpus = row->gpus_per_node;
    }
    put(laying, "hardware.gpus", gpus);
    if (measured_has(row->nic_gbps))
        put(laying, "hardware.node.nic_bandwidth",
            row->nic_gbps * giga / bits_per_byte * node->gpus / node->nics);
    else if (gpus > node->gpus)
        laying->defaults |= 1u << DEFAULT_NETWORK;
}

/* As the row states it, else as a fact does; a stack or row that shards everything over the data
 * (ZeRO-3, FSDP) has no other ways unless it says so. */
static double layout_ways(Laying *laying, MeasuredDefault which, const char *key, double value,
                          double of_base)
{
    const double zero_stage = measured_has(laying->row->zero_stage)
                                  ? laying->row->zero_stage
                                  : laying->base->scenario.training.parallel.zero_stage;
    if (measured_has(value))
        return value;
    if (has_fact(laying->base, key))
        return defaulted(laying, which, of_base);
    if (zero_stage >= 3)
        return defaulted(laying, which, 1);
    return needed(laying, MEASURED_DEFAULT_NAMES[which], value);
}

/* Sources that leave the virtual stages out often use them all the same; a stack that interleaves
 * by default then has chunks of one layer each, where layers and microbatches allow it. */
static double unstated_chunks(Laying *laying)
{
    const Measurement *row = laying->row;
    const ParallelSpec *parallel = &laying->out->training.parallel;
    const double micro = measured_has(row->micro_batch) ? row->micro_batch : parallel->micro_batch;
    const double microbatches = row->batch_sequences / (parallel->data * micro);
    if (row->schedule[0] != '\0' || parallel->schedule != SCHEDULE_INTERLEAVED)
        return 1;
    if (parallel->pipeline > 1 && fmod(row->layers, parallel->pipeline) == 0 &&
        fmod(microbatches, parallel->pipeline) == 0)
        return defaulted(laying, DEFAULT_CHUNKS, row->layers / parallel->pipeline);
    return 1;
}

static void lay_schedule(Laying *laying)
{
    const Measurement *row = laying->row;
    double chunks =
        measured_has(row->virtual_stages) ? row->virtual_stages : unstated_chunks(laying);
    if (row->schedule[0] != '\0')
        put_word(laying, "training.parallel.schedule", row->schedule);
    if (chunks <= 1)
        return;
    if (row->schedule[0] == '\0' && !has_fact(laying->base, "training.parallel.schedule"))
        put_word(laying, "training.parallel.schedule", "interleaved");
    put(laying, "training.parallel.virtual_stages", chunks);
}

/* Megatron-LM cuts experts by the tensor ways unless told otherwise (expert_tensor_parallel_size);
 * where that cannot be, expert ways of their own are the only reading. */
static void lay_expert_ways(Laying *laying, double tensor, double ranks)
{
    const ParallelSpec *of_base = &laying->base->scenario.training.parallel;
    const int known = has_fact(laying->base, "training.parallel.expert");
    double expert =
        stated(laying, DEFAULT_EXPERT, laying->row->expert, known ? of_base->expert : 1);
    double base = laying->base->scenario.training.parallel.expert_tensor;
    put(laying, "training.parallel.expert", expert);
    if (base > 0 || expert <= 1 || fmod(ranks, expert * tensor) == 0)
        return;
    put(laying, "training.parallel.expert_tensor", defaulted(laying, DEFAULT_EXPERT_TENSOR, 1));
}

static void lay_layout(Laying *laying)
{
    const Measurement *row = laying->row;
    const ParallelSpec *base = &laying->base->scenario.training.parallel;
    double tensor =
        layout_ways(laying, DEFAULT_TENSOR, "training.parallel.tensor", row->tensor, base->tensor);
    double pipeline = layout_ways(laying, DEFAULT_PIPELINE, "training.parallel.pipeline",
                                  row->pipeline, base->pipeline);
    double context = stated(laying, DEFAULT_CONTEXT, row->context, 1);
    if (laying->status != STATUS_OK)
        return;
    double data = row->data;
    if (!measured_has(data)) {
        data = defaulted(laying, DEFAULT_DATA, row->gpus / (tensor * pipeline * context));
        if (floor(data) != data || data < 1)
            refuse(laying, "n_gpus %g is no multiple of tp %g x pp %g x cp %g", row->gpus, tensor,
                   pipeline, context);
    }
    double sequence =
        measured_has(row->sequence_parallel) ? row->sequence_parallel : base->sequence_parallel;
    if (!measured_has(row->sequence_parallel) && tensor > 1)
        laying->defaults |= 1u << DEFAULT_SEQUENCE;
    put(laying, "training.parallel.tensor", tensor);
    put(laying, "training.parallel.pipeline", pipeline);
    put(laying, "training.parallel.context", context);
    put(laying, "training.parallel.data", data);
    put(laying, "training.parallel.zero_stage",
        stated(laying, DEFAULT_ZERO, row->zero_stage, base->zero_stage));
    put_word(laying, "training.parallel.sequence_parallel", sequence != 0 ? "true" : "false");
    if (laying->out->model.experts > 1)
        lay_expert_ways(laying, tensor, tensor * context * data);
    if (has_fact(laying->base, "training.parallel.recompute"))
        laying->out->training.parallel.recompute = base->recompute;
    else if (row->recompute[0] != '\0')
        put_word(laying, "training.parallel.recompute", row->recompute);
    else
        laying->defaults |= 1u << DEFAULT_RECOMPUTE;
    lay_schedule(laying);
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
    const Measurement *row = laying->row;
    const ParallelSpec *parallel = &laying->out->training.parallel;
    double micro = stated(laying, DEFAULT_MICRO, row->micro_batch, parallel->micro_batch);
    double length = needed(laying, "seq_len", row->sequence_length);
    double one = parallel->data * micro, batch = row->batch_sequences;
    if (laying->status != STATUS_OK)
        return;
    if (!measured_has(batch) && measured_has(row->micro_batch))
        batch = defaulted(laying, DEFAULT_BATCH, one);
    if (!measured_has(batch))
        batch = defaulted(laying, DEFAULT_BATCH, usual_batch(laying, one, length));
    if (fmod(batch, one) != 0)
        refuse(laying, "global_batch_seqs %g is no multiple of dp %g x micro_batch %g", batch,
               parallel->data, micro);
    put(laying, "training.parallel.micro_batch", micro);
    put(laying, "training.sequence_length", length);
    put(laying, "training.batch_tokens", batch * length);
}

/* 16-bit formats run at the same rate and take the same bytes. Of several formats in one text the
 * narrowest is that of the products; "bf16 mixed", "FP8-CS" and the like are what they begin with.
 */
static void lay_precision(Laying *laying)
{
    static const struct {
        const char *written, *word;
    } WORDS[] = {{"fp4", NULL},    {"int8", NULL},   {"fp8", "fp8"}, {"float8", "fp8"},
                 {"bf16", "bf16"}, {"fp16", "bf16"}, {"16", "bf16"}, {"fp32", "fp32"}};
    char text[32], brief[TEXT_BRIEF_BYTES];
    snprintf(text, sizeof text, "%s", laying->row->precision);
    for (char *at = text; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    if (text[0] == '\0') {
        laying->defaults |= 1u << DEFAULT_PRECISION;
        snprintf(text, sizeof text, "bf16");
    }
    const char *word = NULL;
    size_t found = 0;
    while (found < sizeof WORDS / sizeof WORDS[0] && strstr(text, WORDS[found].written) == NULL)
        found++;
    if (found < sizeof WORDS / sizeof WORDS[0])
        word = WORDS[found].word;
    if (word == NULL) {
        refuse(laying, "precision '%s' is not simulated",
               text_brief(brief, laying->row->precision));
        return;
    }
    put_word(laying, "training.precision", word);
    if (laying->out->training.precision == PRECISION_FP8 &&
        !(laying->out->hardware.gpu.peak_fp8_flops_per_s > 0))
        refuse(laying, "precision fp8 on a GPU that has none");
}

/* A row ran; where what it computed again is a default and it would not have fitted with that, it
 * computed more again: the least that fits. Nothing changes where nothing fits. */
static void raise_recomputation(Scenario *scenario, unsigned *defaults)
{
    Recompute *recompute = &scenario->training.parallel.recompute;
    const Recompute assumed = *recompute;
    if ((*defaults & 1u << DEFAULT_RECOMPUTE) == 0)
        return;
    for (Recompute more = assumed; more <= RECOMPUTE_FULL; more++) {
        *recompute = more;
        if (!memory_fits(scenario))
            continue;
        if (more != assumed)
            *defaults |= 1u << DEFAULT_RAISED;
        return;
    }
    *recompute = assumed;
}

Status measured_scenario(const MeasuredBase *base, const Measurement *row, Scenario *scenario,
                         unsigned *defaults, Error *error)
{
    Laying laying = {.base = base, .row = row, .out = scenario, .error = error};
    *scenario = base->scenario;
    snprintf(scenario->name, sizeof scenario->name, "%.*s", NAME_BYTES - 1, row->id);
    if (base->hardware_assumed)
        laying.defaults |= 1u << DEFAULT_GPU;
    if (base->stack_assumed)
        laying.defaults |= 1u << DEFAULT_STACK;
    lay_hardware(&laying);
    lay_model(&laying);
    lay_layout(&laying);
    lay_batch(&laying);
    lay_precision(&laying);
    *defaults = laying.defaults;
    if (laying.status == STATUS_OK)
        laying.status = plan_check(scenario, error);
    if (laying.status == STATUS_OK)
        raise_recomputation(scenario, defaults);
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

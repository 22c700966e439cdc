#include "configs/reader/canonical.h"
#include "configs/reader/decode.h"
#include "configs/reader/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the tables cannot say ----------------------------------------------------------------
 */

static void check_sections(const Node *root, const Scenario *scenario, ErrorList *errors)
{
    static const struct {
        const char *key;
        bool training, serving;
    } SECTIONS[] = {
        {"model", true, true},        {"hardware", true, true}, {"training", true, false},
        {"reliability", true, false}, {"prices", true, true},   {"serving", false, true},
    };
    bool serving = scenario->kind == SCENARIO_SERVING;
    for (size_t i = 0; i < sizeof SECTIONS / sizeof SECTIONS[0]; i++) {
        bool needed = serving ? SECTIONS[i].serving : SECTIONS[i].training;
        if (needed && mapping_find(root, SECTIONS[i].key) == NULL)
            report(errors, &root->place, schema_field(&SCENARIO_SCHEMA, SECTIONS[i].key)->help,
                   "missing section '%s': a %s scenario needs it", SECTIONS[i].key,
                   serving ? "serving" : "training");
    }
}

static const UncertainInput *find_uncertain(const Scenario *scenario, const char *path)
{
    for (size_t i = 0; i < scenario->uncertain_count; i++)
        if (strcmp(scenario->uncertain[i].path, path) == 0)
            return &scenario->uncertain[i];
    return NULL;
}

/* The basis of the prices must have what it counts on. */
static void check_prices(const Node *root, const Scenario *scenario, ErrorList *errors)
{
    static const struct {
        PriceBasis basis;
        const char *key, *hint;
    } NEEDS[] = {
        {PRICE_HOURLY, "gpu_hour", "rent of one GPU; or basis: table with rent, or basis: owned"},
        {PRICE_TABLE, "rent", "prices by year and contract: a name in configs/hw or its keys"},
        {PRICE_OWNED, "own", "what owning costs: a name in configs/hw or its keys"},
    };
    const Node *prices = mapping_find(root, "prices");
    if (prices == NULL)
        return;
    for (size_t i = 0; i < sizeof NEEDS / sizeof NEEDS[0]; i++)
        if (scenario->prices.basis == NEEDS[i].basis && mapping_find(prices, NEEDS[i].key) == NULL)
            report(errors, &prices->place, NEEDS[i].hint, "missing key '%s' in 'prices'",
                   NEEDS[i].key);
    size_t offers = 0;
    for (size_t i = 0; i < scenario->prices.rent.offer_count; i++)
        offers += scenario->prices.rent.offers[i].contract == scenario->prices.contract;
    const Node *contract = mapping_find(prices, "contract");
    if (scenario->prices.basis == PRICE_TABLE && mapping_find(prices, "rent") != NULL &&
        offers == 0)
        report(errors, contract != NULL ? &contract->place : &prices->place,
               "`flopcast show` lists its offers", "'prices.rent' has no offer of this contract");
}

/* A fixed interval must be given; a GPU with an fp8 peak needs the fit of its fp8 products. */
static void check_pairs(const Node *root, const Scenario *scenario, ErrorList *errors)
{
    const Node *reliability = mapping_find(root, "reliability");
    bool may_be_fixed = scenario->reliability.interval_rule == INTERVAL_FIXED ||
                        find_uncertain(scenario, "reliability.interval_rule") != NULL;
    bool whole = mapping_find(root, "training") != NULL;
    if (whole && reliability != NULL && may_be_fixed &&
        mapping_find(reliability, "interval") == NULL)
        report(errors, &reliability->place, "or interval_rule: optimal",
               "missing key 'interval' in 'reliability'");
    if (whole && reliability != NULL && mapping_find(reliability, "classes") == NULL &&
        mapping_find(reliability, "failures") == NULL)
        report(errors, &reliability->place,
               "failure causes: a list of {name, unit, rate, detection}; or failures: NAME",
               "missing key 'classes' in 'reliability'");
    const Node *gpu = mapping_find(mapping_find(root, "hardware"), "gpu");
    const Node *peak = mapping_find(gpu, "peak_fp8");
    if (peak != NULL && scenario->hardware.gpu.peak_fp8_flops_per_s > 0 &&
        mapping_find(gpu, "gemm_fp8") == NULL)
        report(errors, &peak->place, "the same keys as gemm_bf16, or peak_fp8: 0",
               "missing key 'gemm_fp8': this GPU has an fp8 peak");
}

/* A profile belongs to the device that was measured, and to no other: neither a CPU's times nor
 * another GPU's scale to this one. */
static void check_profile(const Node *root, const Scenario *scenario, ErrorList *errors)
{
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const CalibrationSpec *profile = &gpu->calibration;
    const Node *node =
        mapping_find(mapping_find(mapping_find(root, "hardware"), "gpu"), "calibration");
    static const char *const WORDS[] = {"GPU", "CPU"};
    char hint[ERROR_TEXT_BYTES];
    if (node == NULL || gpu->peak_bf16_flops_per_s <= 0)
        return;
    if (profile->device_class != gpu->device_class) {
        snprintf(hint, sizeof hint,
                 "measure that device: flopcast calibrate --backend %s; or forecast "
                 "hardware.gpu=%.60s",
                 gpu->device_class == DEVICE_CPU ? "cpu" : "cuda", profile->gpu);
        report(errors, &node->place, hint,
               "this profile was measured on a %s (%.80s); '%.60s' is a %s, whose times cannot "
               "come from it",
               WORDS[profile->device_class], profile->device, gpu->name, WORDS[gpu->device_class]);
    } else if (strcmp(profile->gpu, gpu->name) != 0 && strcmp(gpu->name, "custom") != 0) {
        report(errors, &node->place, "a profile serves only the device that was measured",
               "this profile is of '%.60s' (%.80s), not of '%.60s'", profile->gpu, profile->device,
               gpu->name);
    }
}

/* ---- common to all ways in
 * --------------------------------------------------------------------------- */

/* The group at a dotted path of one or two keys; the root itself for "". */
static const Node *find_path(const Node *root, const char *path)
{
    char first[FIELD_PATH_BYTES];
    const char *dot = strchr(path, '.');
    if (path[0] == '\0')
        return root;
    snprintf(first, sizeof first, "%.*s", dot != NULL ? (int)(dot - path) : (int)strlen(path),
             path);
    const Node *group = mapping_find(root, first);
    return dot != NULL ? mapping_find(group, dot + 1) : group;
}

/* Overrides and decoding. `root` is the tree of a scenario; of it, `part` is what is read. */
static void decode_root(Document *document, const Part *part, Node *root, const char *const *sets,
                        size_t set_count, Scenario *scenario, ResolvedList *resolved)
{
    bool whole = part->schema == &SCENARIO_SCHEMA;
    for (size_t i = 0; i < set_count; i++)
        document_override(document, root, sets[i]);
    size_t total_before = document->errors->total;
    Decoder decoder = {.root = &SCENARIO_SCHEMA,
                       .target = scenario,
                       .uncertain = scenario,
                       .resolved = resolved,
                       .errors = document->errors,
                       /* a stack or an engine is a part that leaves the job open */
                       .incomplete = part->schema == &TRAINING_SCHEMA ||
                                     part->schema == &SERVING_SCHEMA || document->incomplete ||
                                     document->errors->total > document->mark.total,
                       .part_only = !whole};
    decode_group(&decoder, part->schema, find_path(root, part->path), part->offset, part->path);
    bool sound = document->errors->total == total_before && !decoder.incomplete;
    if (sound && whole)
        check_sections(root, scenario, document->errors);
    if (sound)
        check_pairs(root, scenario, document->errors);
    if (sound && whole)
        check_prices(root, scenario, document->errors);
    if (sound)
        check_profile(root, scenario, document->errors);
}

static void begin(Document *document, Scenario *scenario, ResolvedList *resolved)
{
    document->mark = error_list_mark(document->errors);
    memset(scenario, 0, sizeof *scenario);
    if (resolved != NULL)
        *resolved = (ResolvedList){0};
}

/* Sorts what was found, hashes, and leaves nothing half-read. */
static Status conclude(Document *document, Scenario *scenario, ResolvedList *resolved, char *sha256)
{
    ErrorList *errors = document->errors;
    if (errors->total == document->mark.total && sha256 != NULL) {
        char *text = canonical_text(&SCENARIO_SCHEMA, scenario, scenario);
        if (text != NULL)
            canonical_sha256(text, sha256);
        else
            report_no_memory(errors);
        free(text);
    }
    document_free(document);
    error_list_sort(errors, document->mark);
    Status status = error_list_status(errors, document->mark);
    if (status != STATUS_OK) {
        memset(scenario, 0, sizeof *scenario);
        if (resolved != NULL)
            resolved_list_free(resolved);
        if (sha256 != NULL)
            sha256[0] = '\0';
    }
    return status;
}

/* A name on the command line: a shipped file or a path. */
static Node *command_line_file(Document *document, const Part *part, const char *name_or_path)
{
    char path[ERROR_PATH_BYTES];
    Error error;
    if (config_locate(document->paths, part->folder, name_or_path, path, sizeof path, &error) ==
        STATUS_OK)
        return document_file(document, part, path, NULL);
    error_list_add(document->errors, &error);
    return NULL;
}

/* ---- whole scenarios ---------------------------------------------------------------------------
 */

Status scenario_read(const ConfigPaths *paths, const char *name_or_path, const char *const *sets,
                     size_t set_count, Scenario *scenario, ResolvedList *resolved,
                     char sha256[SHA256_HEX_BYTES], ErrorList *errors)
{
    Document document = {.paths = paths, .errors = errors};
    begin(&document, scenario, resolved);
    const Part *part = schema_part("scenario");
    Node *root = command_line_file(&document, part, name_or_path);
    if (root != NULL)
        decode_root(&document, part, root, sets, set_count, scenario, resolved);
    return conclude(&document, scenario, resolved, sha256);
}

Status scenario_read_text(const ConfigPaths *paths, const char *label, const char *text,
                          size_t text_bytes, const char *const *sets, size_t set_count,
                          Scenario *scenario, ResolvedList *resolved, char sha256[SHA256_HEX_BYTES],
                          ErrorList *errors)
{
    Document document = {.paths = paths, .errors = errors};
    begin(&document, scenario, resolved);
    const Part *part = schema_part("scenario");
    Node *root = document_text(&document, part, label, text, text_bytes);
    if (root != NULL)
        decode_root(&document, part, root, sets, set_count, scenario, resolved);
    return conclude(&document, scenario, resolved, sha256);
}

/* ---- parts -------------------------------------------------------------------------------------
 */

/* The part that a file says it is; NULL with a problem reported. */
static const Part *part_of_file(const char *path, const char *kind, ErrorList *errors)
{
    NodePool pool = {0};
    FileText text = {0};
    Error error;
    const Part *part = NULL;
    const Node *root = NULL;
    if (file_read(path, &text, &error) != STATUS_OK)
        error_list_add(errors, &error);
    else
        root = tree_parse(&pool, path, text.bytes, text.count, errors);
    if (root != NULL) {
        const Node *word = mapping_find(root, "part");
        bool named = word != NULL && word->kind == NODE_SCALAR;
        part = named ? schema_part(word->text) : NULL;
        if (part != NULL && (part->schema == &SCENARIO_SCHEMA || strcmp(part->folder, kind) != 0))
            part = NULL;
        if (part == NULL)
            report(errors, word != NULL ? &word->place : &root->place,
                   strcmp(kind, "models") == 0
                       ? "part: model"
                       : "part: gpu, node, fabric, hardware, failures, rent or own",
                   word == NULL ? "missing key 'part'" : "not a part that belongs here");
    }
    pool_free(&pool);
    free(text.bytes);
    return part;
}

/* A scenario that consists of one part at its path. */
static Node *wrap_part(Document *document, const Part *part, Node *node)
{
    char path[FIELD_PATH_BYTES];
    snprintf(path, sizeof path, "%s", part->path);
    for (;;) { /* from the last key of the path outwards */
        char *dot = strrchr(path, '.');
        const char *word = dot != NULL ? dot + 1 : path;
        Node *key = pool_scalar(&document->pool, &node->place, word, strlen(word));
        Node *outer = pool_collection(&document->pool, NODE_MAPPING, &node->place);
        if (key == NULL || outer == NULL || !mapping_append(outer, key, node)) {
            report_no_memory(document->errors);
            return NULL;
        }
        node = outer;
        if (dot == NULL)
            return node;
        *dot = '\0';
    }
}

Status part_read(const ConfigPaths *paths, const char *kind, const char *name_or_path,
                 const char *const *sets, size_t set_count, Scenario *scenario,
                 ResolvedList *resolved, char sha256[SHA256_HEX_BYTES], ErrorList *errors)
{
    Document document = {.paths = paths, .errors = errors};
    begin(&document, scenario, resolved);
    char path[ERROR_PATH_BYTES];
    Error error;
    const Part *part = NULL;
    Node *root = NULL;
    if (config_locate(paths, kind, name_or_path, path, sizeof path, &error) != STATUS_OK)
        error_list_add(errors, &error);
    else
        part = part_of_file(path, kind, errors);
    if (part != NULL)
        root = document_file(&document, part, path, NULL);
    if (root != NULL)
        root = wrap_part(&document, part, root);
    if (root != NULL)
        decode_root(&document, part, root, sets, set_count, scenario, resolved);
    return conclude(&document, scenario, resolved, sha256);
}

/* ---- what a file is ----------------------------------------------------------------------------
 */

const char *config_kind_of_file(const char *path)
{
    static const struct {
        const char *key;
        const char *kind;
    } SIGNS[] = {{"claims", "claims"},      {"part", NULL},
                 {"kind", "scenarios"},     {"base", "scenarios"},
                 {"training", "scenarios"}, {"serving", "scenarios"},
                 {"hardware", "scenarios"}, {"model", "scenarios"},
                 {"scenarios", "claims"}};
    NodePool pool = {0};
    FileText text = {0};
    const char *kind = NULL;
    const Node *root = NULL;
    ErrorList *ignored = calloc(1, sizeof *ignored);
    if (ignored != NULL && file_read(path, &text, &ignored->errors[0]) == STATUS_OK)
        root = tree_parse(&pool, path, text.bytes, text.count, ignored);
    for (size_t i = 0; root != NULL && kind == NULL && i < sizeof SIGNS / sizeof SIGNS[0]; i++) {
        const Node *value = mapping_find(root, SIGNS[i].key);
        if (value == NULL)
            continue;
        if (SIGNS[i].kind != NULL) {
            kind = SIGNS[i].kind;
            continue;
        }
        const Part *part = value->kind == NODE_SCALAR ? schema_part(value->text) : NULL;
        kind = part != NULL ? part->folder : NULL;
    }
    pool_free(&pool);
    free(text.bytes);
    free(ignored);
    return kind;
}

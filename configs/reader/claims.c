#include "configs/reader/claims.h"

#include "configs/reader/canonical.h"
#include "configs/reader/decode.h"
#include "configs/reader/document.h"
#include "configs/reader/suggest.h"
#include "configs/reader/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the tables cannot say ----------------------------------------------------------------
 */

/* A scenario's name stands in expressions before a dot. */
static bool is_identifier(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

static void check_scenarios(const Node *scenarios, ErrorList *errors)
{
    char brief[TEXT_BRIEF_BYTES];
    for (size_t i = 0; scenarios != NULL && i < scenarios->count; i++) {
        const Node *name = scenarios->items[2 * i];
        if (!is_identifier(name->text))
            report(errors, &name->place, "letters, digits and _, no digit first",
                   "'%s' cannot be used in expressions", text_brief(brief, name->text));
        const Node *sets = mapping_find(scenarios->items[2 * i + 1], "set");
        for (size_t s = 0; sets != NULL && s < sets->count; s++)
            if (strchr(sets->items[s]->text, '=') == NULL)
                report(errors, &sets->items[s]->place, "write KEY=VALUE", "set: '%s' has no '='",
                       text_brief(brief, sets->items[s]->text));
    }
}

static void check_headline(const ClaimFile *file, const Node *headline, ErrorList *errors)
{
    if (headline == NULL)
        return;
    Suggestion nearest = {.word = file->headline};
    for (size_t i = 0; i < file->scenario_count; i++) {
        if (strcmp(file->scenarios[i].name, file->headline) == 0)
            return;
        suggest_offer(&nearest, file->scenarios[i].name);
    }
    char hint[ERROR_TEXT_BYTES] = "name one of `scenarios:`";
    if (nearest.best != NULL)
        snprintf(hint, sizeof hint, "did you mean '%s'?", nearest.best);
    report(errors, &headline->place, hint, "headline: '%s' is none of the scenarios",
           file->headline);
}

static void check_claims(const ClaimFile *file, const Node *claims, ErrorList *errors)
{
    for (size_t i = 0; i < file->claim_count; i++) {
        const Claim *claim = &file->claims[i];
        const Node *low = mapping_find(claims->items[i], "low");
        if (low != NULL && claim->has_low && claim->has_high && claim->low > claim->high)
            report(errors, &low->place, NULL, "claim %s: low %g is above high %g", claim->id,
                   claim->low, claim->high);
    }
}

/* ---- reading -----------------------------------------------------------------------------------
 */

Status claims_read_text(const char *label, const char *text, size_t text_bytes, ClaimFile *file,
                        char sha256[SHA256_HEX_BYTES], ErrorList *errors)
{
    Document document = {.errors = errors, .mark = error_list_mark(errors)};
    memset(file, 0, sizeof *file);
    const char *name = pool_text(&document.pool, label);
    Node *root = NULL;
    if (name == NULL)
        report_no_memory(errors);
    else
        root = tree_parse(&document.pool, name, text, text_bytes, errors);
    if (root != NULL && root->kind == NODE_MAPPING)
        document_check_header(&document, NULL, root);
    if (root != NULL) {
        Decoder decoder = {.root = &CLAIM_FILE_SCHEMA, .target = file, .errors = errors};
        decode_group(&decoder, &CLAIM_FILE_SCHEMA, root, 0, "");
    }
    if (error_list_status(errors, document.mark) == STATUS_OK) { /* so the shapes are right */
        check_scenarios(mapping_find(root, "scenarios"), errors);
        check_headline(file, mapping_find(root, "headline"), errors);
        check_claims(file, mapping_find(root, "claims"), errors);
    }
    if (error_list_status(errors, document.mark) == STATUS_OK && sha256 != NULL) {
        char *canonical = canonical_text(&CLAIM_FILE_SCHEMA, file, NULL);
        if (canonical != NULL)
            canonical_sha256(canonical, sha256);
        else
            report_no_memory(errors);
        free(canonical);
    }
    document_free(&document);
    snprintf(file->path, sizeof file->path, "%s", label);
    error_list_sort(errors, document.mark);
    Status status = error_list_status(errors, document.mark);
    if (status != STATUS_OK) {
        memset(file, 0, sizeof *file);
        if (sha256 != NULL)
            sha256[0] = '\0';
    }
    return status;
}

Status claims_read(const ConfigPaths *paths, const char *name_or_path, ClaimFile *file,
                   char sha256[SHA256_HEX_BYTES], ErrorList *errors)
{
    char path[ERROR_PATH_BYTES];
    FileText text = {0};
    Error error;
    memset(file, 0, sizeof *file);
    Status status = config_locate(paths, "claims", name_or_path, path, sizeof path, &error);
    if (status == STATUS_OK)
        status = file_read(path, &text, &error);
    if (status != STATUS_OK) {
        error_list_add(errors, &error);
        return status;
    }
    status = claims_read_text(path, text.bytes, text.count, file, sha256, errors);
    free(text.bytes);
    return status;
}

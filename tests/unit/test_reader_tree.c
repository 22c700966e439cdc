#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/suggest.h"
#include "configs/reader/text.h"
#include "configs/reader/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ErrorList errors;

/* The tree of a text; the caller frees the pool. */
static Node *parse(NodePool *pool, const char *text, size_t bytes)
{
    *pool = (NodePool){0};
    memset(&errors, 0, sizeof errors);
    return tree_parse(pool, pool_text(pool, "t.yaml"), text, bytes, &errors);
}

static void places_and_shapes(void **state)
{
    (void)state;
    static const char TEXT[] =
        "\xef\xbb\xbfname: a # comment\nlist:\n  - 1\n  - {x: \"two words\"}\n";
    NodePool pool;
    const Node *root = parse(&pool, TEXT, sizeof TEXT - 1);
    assert_non_null(root);
    assert_int_equal(root->kind, NODE_MAPPING);
    assert_int_equal(root->count, 2);
    const Node *list = mapping_find(root, "list");
    assert_int_equal(list->kind, NODE_SEQUENCE);
    assert_int_equal(list->count, 2);
    assert_string_equal(list->items[0]->text, "1");
    assert_int_equal(list->items[0]->place.line, 3);
    assert_int_equal(list->items[0]->place.column, 5);
    const Node *x = mapping_find(list->items[1], "x");
    assert_string_equal(x->text, "two words");
    assert_true(x->quoted);
    assert_int_equal(x->place.line, 4);
    assert_int_equal(x->place.column, 9);
    assert_int_equal(x->place.width, 11);
    assert_null(mapping_find(root, "none"));
    assert_null(mapping_find(list, "x"));
    pool_free(&pool);
}

static void entries_can_be_taken_out(void **state)
{
    (void)state;
    static const char TEXT[] = "a: 1\nb: 2\nc: 3\n";
    NodePool pool;
    Node *root = parse(&pool, TEXT, sizeof TEXT - 1);
    assert_string_equal(mapping_take(root, "b")->text, "2");
    assert_null(mapping_take(root, "b"));
    assert_int_equal(root->count, 2);
    assert_string_equal(mapping_find(root, "c")->text, "3");
    pool_free(&pool);
}

static void refused_with_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes; /* 0: strlen */
        int line, column;
        const char *message;
    } CASES[] = {
        {"", 0, 1, 1, "empty"},
        {"# only a comment\n", 0, 1, 1, "empty"},
        {"a: &x 1\n", 0, 1, 4, "anchors"},
        {"a: *x\n", 0, 1, 4, "aliases"},
        {"a: !!int 1\n", 0, 1, 4, "tags"},
        {"%TAG ! x\n---\na: 1\n", 0, 1, 1, "directive"},
        {"a: 1\n...\n%YAML 1.1\n", 0, 3, 1, "directive"},
        {"a: 1\n---\nb: 1\n", 0, 2, 1, "second document"},
        {"? [a]\n: 1\n", 0, 1, 3, "key must be a plain text"},
        {"a: 1\n\0b: 2\n", 11, 2, 1, "0x00 is a control character"},
        {"a: \x01\n", 0, 1, 4, "0x01 is a control character"},
        {"a: \"\\0\"\n", 0, 1, 4, "control character 0x00 in a text"},
        {"a: \xc3\x28\n", 0, 1, 4, "0xc3 is not valid UTF-8"},
        {"a: \xed\xa0\x80\n", 0, 1, 4, "not valid UTF-8"},
        {"a: \xc0\xaf\n", 0, 1, 4, "not valid UTF-8"},
        {"a: \xf0\x9f\x98", 0, 1, 4, "not valid UTF-8"},
        {"a: [1, 2\n", 0, 2, 1, "did not find expected ',' or ']'"},
        {"\ta: 1\n", 0, 1, 1, "cannot start any token"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        NodePool pool;
        size_t bytes = CASES[i].bytes > 0 ? CASES[i].bytes : strlen(CASES[i].text);
        assert_null(parse(&pool, CASES[i].text, bytes));
        assert_true(errors.count > 0);
        const Error *error = &errors.errors[0];
        if (strstr(error->message, CASES[i].message) == NULL)
            fail_msg("case %zu: '%s' lacks '%s'", i, error->message, CASES[i].message);
        assert_string_equal(error->file, "t.yaml");
        if (error->line != CASES[i].line || error->column != CASES[i].column)
            fail_msg("case %zu (%s): at %d:%d, not %d:%d", i, error->message, error->line,
                     error->column, CASES[i].line, CASES[i].column);
        assert_int_equal(error->status, STATUS_INVALID);
        pool_free(&pool);
    }
}

/* A key given twice is refused, but the rest is still read for its problems. */
static void duplicates_leave_the_tree_standing(void **state)
{
    (void)state;
    static const char TEXT[] = "a: 1\nb: 2\na: 3\nb: 4\nc: 5\n";
    NodePool pool;
    Node *root = parse(&pool, TEXT, sizeof TEXT - 1);
    assert_non_null(root);
    assert_int_equal(errors.count, 2);
    assert_non_null(strstr(errors.errors[0].message, "already given at t.yaml:1:1"));
    assert_int_equal(errors.errors[0].line, 3);
    assert_int_equal(errors.errors[1].line, 4);
    assert_string_equal(mapping_find(root, "c")->text, "5");
    pool_free(&pool);
}

/* `count` times `piece` between `before` and `after`. */
static char *repeat(const char *before, const char *piece, size_t count, const char *after)
{
    size_t piece_bytes = strlen(piece);
    char *text = malloc(strlen(before) + count * piece_bytes + strlen(after) + 1);
    assert_non_null(text);
    char *at = text + sprintf(text, "%s", before);
    for (size_t i = 0; i < count; i++)
        at = (char *)memcpy(at, piece, piece_bytes) + piece_bytes;
    strcpy(at, after);
    return text;
}

static const char *problem_of(const char *before, const char *piece, size_t count,
                              const char *after)
{
    NodePool pool;
    char *text = repeat(before, piece, count, after);
    const Node *root = parse(&pool, text, strlen(text));
    free(text);
    bool read = root != NULL;
    pool_free(&pool);
    assert_true(read == (errors.total == 0));
    return read ? "none" : errors.errors[0].message;
}

/* Each bound: what just fits, and what is one too much. */
static void bounds(void **state)
{
    (void)state;
    assert_string_equal(problem_of("a: ", "[", TREE_MAX_DEPTH + 1, ""), "nested more than 64 deep");
    char *closing = repeat("", "]", TREE_MAX_DEPTH - 1, "");
    assert_string_equal(problem_of("a: ", "[", TREE_MAX_DEPTH - 1, closing), "none");
    free(closing);
    assert_string_equal(problem_of("[", "x,", TREE_MAX_NODES - 1, "]"), "none");
    assert_string_equal(problem_of("[", "x,", TREE_MAX_NODES, "]"),
                        "more than 20000 values in one file");
    assert_string_equal(problem_of("a: ", "x", TREE_MAX_BYTES - 3, ""), "none");
    assert_non_null(strstr(problem_of("a: ", "x", TREE_MAX_BYTES - 2, ""), "more than a config"));

    char *keys = malloc(TREE_MAX_KEYS * 16 + 16);
    assert_non_null(keys);
    char *at = keys;
    for (int i = 0; i < TREE_MAX_KEYS; i++)
        at += sprintf(at, "k%d: 1\n", i);
    assert_string_equal(problem_of(keys, "", 0, ""), "none");
    assert_string_equal(problem_of(keys, "more: 1\n", 1, ""), "more than 1000 keys in one mapping");
    free(keys);
}

/* Distances counted by hand. */
static void distances(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("fabric", "fabric"), 0);
    assert_int_equal(suggest_distance("fabirc", "fabric"), 1);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("ca", "abc"), 3); /* optimal string alignment, not 2 */
    assert_int_equal(suggest_distance("gpu", "gpus"), 1);
}

static void nearest_name(void **state)
{
    (void)state;
    Suggestion suggestion = {.word = "fabirc"};
    suggest_offer(&suggestion, "gpu");
    assert_null(suggestion.best);
    suggest_offer(&suggestion, "fabrics");
    suggest_offer(&suggestion, "fabric");
    assert_string_equal(suggestion.best, "fabric");
    Suggestion short_word = {.word = "ab"}; /* one edit is more than a third of two letters */
    suggest_offer(&short_word, "ac");
    assert_null(short_word.best);
    Suggestion far = {.word = "abcdefghijkl"};
    suggest_offer(&far, "abcdefghixyz");
    assert_null(far.best);
}

static void texts_for_messages(void **state)
{
    (void)state;
    char text[] = "a\x1b[31m\xff\xc2\x85z\xe4\xb8\xad";
    text_make_printable(text);
    assert_string_equal(text, "a?[31m???z\xe4\xb8\xad");
    char brief[TEXT_BRIEF_BYTES];
    char *wide = repeat("", "\xe4\xb8\xad", 40, ""); /* 120 bytes */
    text_brief(brief, wide);
    free(wide);
    assert_int_equal(strlen(brief) % 3, 0); /* whole characters and three dots */
    assert_string_equal(brief + strlen(brief) - 3, "...");
    assert_int_equal(text_characters("\xe4\xb8\xad"
                                     "a",
                                     4),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_and_shapes),
        cmocka_unit_test(entries_can_be_taken_out),
        cmocka_unit_test(refused_with_place),
        cmocka_unit_test(duplicates_leave_the_tree_standing),
        cmocka_unit_test(bounds),
        cmocka_unit_test(distances),
        cmocka_unit_test(nearest_name),
        cmocka_unit_test(texts_for_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The shipped files: where they are and what they are called. */
#include "configs/reader/reader.h"

#include "configs/reader/suggest.h"
#include "configs/reader/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NAMES = 4096 };

static bool is_directory(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* A directory is a root of configurations when it holds scenarios. */
static bool is_root(const char *path)
{
    char scenarios[ERROR_PATH_BYTES + 16];
    snprintf(scenarios, sizeof scenarios, "%s/scenarios", path);
    return is_directory(scenarios);
}

static bool joined(char out[ERROR_PATH_BYTES], const char *directory, size_t directory_bytes,
                   const char *rest)
{
    int length = snprintf(out, ERROR_PATH_BYTES, "%.*s%s", (int)directory_bytes, directory, rest);
    return length >= 0 && length < ERROR_PATH_BYTES;
}

/* Without `build/../`: origins and error messages show this path. */
static void tidy(char root[ERROR_PATH_BYTES])
{
    char *resolved = realpath(root, NULL);
    if (resolved != NULL && strlen(resolved) < ERROR_PATH_BYTES)
        strcpy(root, resolved);
    free(resolved);
}

Status config_paths_find(const char *program_path, ConfigPaths *paths, Error *error)
{
    *paths = (ConfigPaths){0};
    const char *named = getenv("FLOPCAST_CONFIGS");
    if (named != NULL && named[0] != '\0') {
        if (text_copy(paths->root, sizeof paths->root, named) && is_root(paths->root))
            return STATUS_OK;
        error_set(error, STATUS_ENVIRONMENT,
                  "FLOPCAST_CONFIGS names no folder of configurations: '%s'", named);
        error_hint(error, "it must hold scenarios/, models/ and hw/");
        return STATUS_ENVIRONMENT;
    }
    snprintf(paths->root, sizeof paths->root, "configs");
    if (is_root(paths->root))
        return STATUS_OK;
    /* Beside the program (a build tree: build/flopcast) and where `make install` puts them
     * (bin/flopcast). */
    static const char *const PLACES[] = {"/configs", "/../configs", "/../../configs",
                                         "/../share/flopcast/configs", "/../share/flopcast"};
    const char *slash = program_path != NULL ? strrchr(program_path, '/') : NULL;
    for (size_t i = 0; slash != NULL && i < sizeof PLACES / sizeof PLACES[0]; i++)
        if (joined(paths->root, program_path, (size_t)(slash - program_path), PLACES[i]) &&
            is_root(paths->root)) {
            tidy(paths->root);
            return STATUS_OK;
        }
    paths->root[0] = '\0';
    error_set(error, STATUS_ENVIRONMENT, "the shipped configurations are not found");
    error_hint(error, "run in the folder that holds configs/, or set FLOPCAST_CONFIGS to it");
    return STATUS_ENVIRONMENT;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

Status config_names(const ConfigPaths *paths, const char *kind, ConfigNames *names, Error *error)
{
    *names = (ConfigNames){0};
    char folder[ERROR_PATH_BYTES + 32];
    snprintf(folder, sizeof folder, "%s/%s", paths->root, kind);
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "cannot list '%s': %s", folder,
                         strerror(errno));
    size_t capacity = 0;
    Status status = STATUS_OK;
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        const char *end = strrchr(entry->d_name, '.');
        size_t length = end != NULL ? (size_t)(end - entry->d_name) : 0;
        if (length == 0 || length >= NAME_BYTES || entry->d_name[0] == '.' ||
            strcmp(end, ".yaml") != 0)
            continue;
        if (names->count == capacity) {
            capacity = capacity == 0 ? 32 : 2 * capacity;
            char(*grown)[NAME_BYTES] =
                capacity <= MAX_NAMES ? realloc(names->names, capacity * NAME_BYTES) : NULL;
            if (grown == NULL) {
                status = error_set(error, STATUS_ENVIRONMENT, "too many files in '%s'", folder);
                goto cleanup;
            }
            names->names = grown;
        }
        memcpy(names->names[names->count], entry->d_name, length);
        names->names[names->count][length] = '\0';
        names->count++;
    }
    if (names->count > 0)
        qsort(names->names, names->count, NAME_BYTES, compare_names);

cleanup:
    closedir(directory);
    if (status != STATUS_OK)
        config_names_free(names);
    return status;
}

void config_names_free(ConfigNames *names)
{
    free(names->names);
    *names = (ConfigNames){0};
}

static bool ends_with(const char *text, const char *end)
{
    size_t text_bytes = strlen(text);
    size_t end_bytes = strlen(end);
    return text_bytes >= end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

static Status too_long(const char *name, Error *error)
{
    char brief[TEXT_BRIEF_BYTES];
    return error_set(error, STATUS_INVALID, "the path '%s' is too long", text_brief(brief, name));
}

/* "there are: a, b, c": those that contain the word, or all when none does. */
static void list_names(const ConfigNames *names, const char *word, char *text, size_t text_bytes)
{
    bool any = false;
    for (size_t i = 0; i < names->count; i++)
        any = any || strstr(names->names[i], word) != NULL;
    for (size_t i = 0; i < names->count; i++) {
        if (any && strstr(names->names[i], word) == NULL)
            continue;
        size_t used = strlen(text);
        snprintf(text + used, text_bytes - used, "%s%s", used == 0 ? "there are: " : ", ",
                 names->names[i]);
    }
}

Status config_locate(const ConfigPaths *paths, const char *kind, const char *name, char *path,
                     size_t path_bytes, Error *error)
{
    char brief[TEXT_BRIEF_BYTES];
    if (strchr(name, '/') != NULL || ends_with(name, ".yaml") || ends_with(name, ".yml"))
        return text_copy(path, path_bytes, name) ? STATUS_OK : too_long(name, error);
    if (paths == NULL || paths->root[0] == '\0') {
        path[0] = '\0';
        return error_set(error, STATUS_INVALID, "no shipped configurations to look up '%s' in",
                         text_brief(brief, name));
    }
    int length = snprintf(path, path_bytes, "%s/%s/%s.yaml", paths->root, kind, name);
    if (length < 0 || (size_t)length >= path_bytes)
        return too_long(name, error);
    if (name[0] != '\0' && access(path, F_OK) == 0)
        return STATUS_OK;
    error_set(error, STATUS_INVALID, "nothing called '%s' in %s/%s", text_brief(brief, name),
              paths->root, kind);
    ConfigNames names;
    Error ignored;
    if (config_names(paths, kind, &names, &ignored) == STATUS_OK && error != NULL) {
        Suggestion nearest = {.word = name};
        for (size_t i = 0; i < names.count; i++)
            suggest_offer(&nearest, names.names[i]);
        if (nearest.best != NULL)
            error_hint(error, "did you mean '%s'?", nearest.best);
        else
            list_names(&names, name, error->hint, sizeof error->hint);
        config_names_free(&names);
    }
    return STATUS_INVALID;
}

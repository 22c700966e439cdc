/* Replays files, and all files of folders, through a fuzz target; stands in for libFuzzer's main.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 16 << 20 };

static size_t replayed;

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(MAX_INPUT_BYTES);
    int failed = file == NULL || data == NULL;
    if (!failed) {
        size_t size = fread(data, 1, MAX_INPUT_BYTES, file);
        uint8_t *exact =
            malloc(size > 0 ? size : 1); /* so that a sanitizer sees reads past the end */
        failed = ferror(file) || exact == NULL;
        if (!failed) {
            memcpy(exact, data, size);
            LLVMFuzzerTestOneInput(exact, size);
            replayed++;
        }
        free(exact);
    }
    if (failed)
        fprintf(stderr, "cannot replay %s\n", path);
    if (file != NULL)
        fclose(file);
    free(data);
    return failed;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int replay_folder(const char *folder)
{
    struct dirent **entries;
    int failed = 0;
    int count = scandir(folder, &entries, NULL, by_name);
    if (count < 0) {
        fprintf(stderr, "cannot list %s\n", folder);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        if (entries[i]->d_name[0] != '.' &&
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < (int)sizeof path)
            failed |= replay_file(path);
        free(entries[i]);
    }
    free(entries);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        struct stat facts;
        int is_folder = stat(argv[i], &facts) == 0 && S_ISDIR(facts.st_mode);
        failed |= is_folder ? replay_folder(argv[i]) : replay_file(argv[i]);
    }
    printf("%zu inputs replayed\n", replayed);
    return failed;
}

/* A directory of its own for a test that writes files, removed with everything in it afterwards. */
#ifndef TESTS_UNIT_REPORT_DIRECTORY_H
#define TESTS_UNIT_REPORT_DIRECTORY_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEST_PATH_BYTES = 512 };

static inline void directory_make(char path[TEST_PATH_BYTES])
{
    snprintf(path, TEST_PATH_BYTES, "/tmp/flopcast-reports-XXXXXX");
    if (mkdtemp(path) == NULL) {
        perror("mkdtemp");
        exit(99);
    }
}

/* Files in a directory, hidden ones (what a failed write could leave) included. */
static inline size_t directory_count(const char *path, int only_hidden)
{
    size_t count = 0;
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            (!only_hidden || entry->d_name[0] == '.'))
            count++;
    if (directory != NULL)
        closedir(directory);
    return count;
}

static inline void directory_empty(int descriptor)
{
    DIR *directory = fdopendir(descriptor); /* owns the descriptor from here on */
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(directory), entry->d_name, 0) == 0)
            continue;
        int inner = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY);
        if (inner >= 0)
            directory_empty(inner);
        unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    }
    if (directory != NULL)
        closedir(directory);
}

static inline void directory_remove(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY);
    if (descriptor >= 0)
        directory_empty(descriptor);
    rmdir(path);
}

#endif

#include "configs/reader/file.h"

#include "configs/reader/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Status open_error(const char *path, Error *error)
{
    bool missing = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
    return error_set(error, missing ? STATUS_INVALID : STATUS_ENVIRONMENT, "cannot read '%s': %s",
                     path, strerror(errno));
}

Status file_read(const char *path, FileText *text, Error *error)
{
    return file_read_bounded(path, TREE_MAX_BYTES, text, error);
}

Status file_read_bounded(const char *path, size_t max_bytes, FileText *text, Error *error)
{
    *text = (FileText){0};
    Status status = STATUS_OK;
    struct stat facts;
    int descriptor =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not block */
    if (descriptor < 0)
        return open_error(path, error);
    if (fstat(descriptor, &facts) != 0) {
        status = open_error(path, error);
        goto cleanup;
    }
    if (!S_ISREG(facts.st_mode)) {
        status = error_set(error, STATUS_INVALID, "'%s' is %s, not a file", path,
                           S_ISDIR(facts.st_mode) ? "a directory" : "a device or pipe");
        goto cleanup;
    }
    if (facts.st_size > (off_t)max_bytes) {
        status = error_set(error, STATUS_INVALID,
                           "'%s' has %lld bytes, more than a configuration may have (%zu)", path,
                           (long long)facts.st_size, max_bytes);
        goto cleanup;
    }
    size_t capacity = (size_t)facts.st_size;
    text->bytes = malloc(capacity + 1);
    if (text->bytes == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    while (text->count < capacity) {
        ssize_t got = read(descriptor, text->bytes + text->count, capacity - text->count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            status = open_error(path, error);
            goto cleanup;
        }
        if (got == 0)
            break;
        text->count += (size_t)got;
    }
    text->bytes[text->count] = '\0';
    text->device = facts.st_dev;
    text->inode = facts.st_ino;

cleanup:
    close(descriptor);
    if (status != STATUS_OK) {
        free(text->bytes);
        *text = (FileText){0};
    }
    return status;
}

#include "reports/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static Status failed(Error *error, const char *what, const char *path, int code)
{
    return error_set(error, STATUS_ENVIRONMENT, "cannot %s '%s': %s", what, path, strerror(code));
}

static Status join(const char *directory, const char *name, char *path, size_t path_bytes,
                   Error *error)
{
    int length = snprintf(path, path_bytes, "%s/%s", directory[0] != '\0' ? directory : ".", name);
    if (length < 0 || (size_t)length >= path_bytes)
        return error_set(error, STATUS_ENVIRONMENT, "path too long: '%.200s'", directory);
    return STATUS_OK;
}

Status files_make_directory(const char *directory, Error *error)
{
    char path[PATH_BYTES];
    struct stat found;
    size_t length = strlen(directory);
    if (length == 0 || length >= sizeof path)
        return error_set(error, STATUS_ENVIRONMENT, "directory name empty or too long");
    memcpy(path, directory, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return failed(error, "create directory", path, errno);
        if (i < length)
            path[i] = '/';
    }
    if (stat(path, &found) != 0)
        return failed(error, "open directory", path, errno);
    if (!S_ISDIR(found.st_mode))
        return failed(error, "open directory", path, ENOTDIR);
    return STATUS_OK;
}

Status files_temporary(const char *directory, const char *name, char *path, size_t path_bytes,
                       Error *error)
{
    char temporary[256];
    int length = snprintf(temporary, sizeof temporary, ".%s.%ld.tmp", name, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary)
        return error_set(error, STATUS_ENVIRONMENT, "file name too long: '%.200s'", name);
    return join(directory, temporary, path, path_bytes, error);
}

void files_discard(const char *temporary)
{
    if (temporary[0] != '\0')
        unlink(temporary);
}

/* The rename is durable only once the directory that holds the name is on disk. Some file systems
 * refuse fsync on directories; the file itself is complete there too, so that is no error. */
static void sync_directory(const char *directory)
{
    int descriptor = open(directory[0] != '\0' ? directory : ".", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    fsync(descriptor);
    close(descriptor);
}

Status files_commit(const char *directory, const char *name, const char *temporary, Error *error)
{
    char path[PATH_BYTES];
    Status status = join(directory, name, path, sizeof path, error);
    if (status != STATUS_OK)
        return status;
    int descriptor = open(temporary, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return failed(error, "write", path, errno);
    int code = fsync(descriptor) != 0 ? errno : 0;
    close(descriptor);
    if (code == 0 && rename(temporary, path) != 0)
        code = errno;
    if (code != 0) {
        files_discard(temporary);
        return failed(error, "write", path, code);
    }
    sync_directory(directory);
    return STATUS_OK;
}

static int write_all(int descriptor, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(descriptor, text, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        text += written;
        bytes -= (size_t)written;
    }
    return 0;
}

static Status write_bytes(const char *directory, const char *name, const char *text, size_t bytes,
                          Error *error)
{
    char temporary[PATH_BYTES];
    Status status = files_temporary(directory, name, temporary, sizeof temporary, error);
    if (status != STATUS_OK)
        return status;
    unlink(temporary); /* of an earlier process with this number that was killed */
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return failed(error, "write", temporary, errno);
    int code = write_all(descriptor, text, bytes);
    if (close(descriptor) != 0 && code == 0)
        code = errno;
    if (code != 0) {
        files_discard(temporary);
        return failed(error, "write", temporary, code);
    }
    return files_commit(directory, name, temporary, error);
}

Status files_write_text(const char *directory, const char *name, const char *text, Error *error)
{
    return write_bytes(directory, name, text, strlen(text), error);
}

Status files_begin(TextFile *file, Error *error)
{
    *file = (TextFile){0};
    file->out = open_memstream(&file->text, &file->bytes);
    if (file->out == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return STATUS_OK;
}

Status files_finish(TextFile *file, const char *directory, const char *name, Error *error)
{
    int short_of_memory = ferror(file->out);
    if (fclose(file->out) != 0 || short_of_memory) {
        free(file->text);
        *file = (TextFile){0};
        return error_set(error, STATUS_ENVIRONMENT, "out of memory while writing %s", name);
    }
    Status status = write_bytes(directory, name, file->text, file->bytes, error);
    free(file->text);
    *file = (TextFile){0};
    return status;
}

void files_abandon(TextFile *file)
{
    if (file->out != NULL)
        fclose(file->out);
    free(file->text);
    *file = (TextFile){0};
}

Status files_result(const char *directory, const char *json_name, const char *json,
                    TextFile *report, Error *error)
{
    Status status = files_make_directory(directory, error);
    if (status == STATUS_OK)
        status = files_write_text(directory, json_name, json, error);
    if (status == STATUS_OK)
        return files_finish(report, directory, "report.txt", error);
    files_abandon(report);
    return status;
}

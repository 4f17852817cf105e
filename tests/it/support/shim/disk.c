/* A disk between the program and the kernel, loaded by LD_PRELOAD. It sees the calls SQLite makes on the files of one
 * queue and does two things with them:
 *
 *   DISK_SHIM_LOG    appends every change and every sync to this file, in order, so that a test can work out what a
 *                    disk would hold had the power gone at any point. In this mode the page cache is not trusted, so
 *                    nothing is really synced: what counts is what was asked for.
 *   DISK_SHIM_STATE  eight bytes in a file, a number (see enum state): while it is not zero, calls are refused the way
 *                    a full, read-only or broken disk refuses them.
 *
 * DISK_SHIM_QUEUE names the database. DISK_SHIM_CUT, if set, kills the process right after so many records of the log:
 * a power cut at an exact place. The index in shared memory (-shm) is no part of the log: it never survives anything.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum state { WELL = 0, FULL = 1, READ_ONLY = 2, NO_SYNC = 3 };
enum what { CREATE = 1, UNLINK = 2, WRITE = 3, TRUNCATE = 4, SYNC = 5 };
/* Which file. OTHER is any file beside the database that is not logged but shares its disk (-shm, .lock). */
enum file { NONE = 0, DATABASE = 1, WAL = 2, JOURNAL = 3, DIRECTORY = 4, OTHER = 5 };

struct record {
    uint32_t magic, what;
    int64_t asked_at; /* nanoseconds since 1970, taken before the call */
    uint64_t offset;  /* of a write, or the new length */
    uint32_t file, bytes;
};
#define MAGIC 0x4b534944u

static char queue[PATH_MAX], directory[PATH_MAX];
static int log_file = -1;
static long records, cut_after = -1;
static volatile int64_t *state;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

/* Before main(), so before any thread: none of this needs a lock. */
__attribute__((constructor)) static void start(void) {
    const char *name = getenv("DISK_SHIM_QUEUE");
    if (!name) return;
    snprintf(queue, sizeof queue, "%s", name);
    snprintf(directory, sizeof directory, "%s", name);
    char *slash = strrchr(directory, '/');
    if (slash) *slash = 0;
    if ((name = getenv("DISK_SHIM_LOG")))
        log_file = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((name = getenv("DISK_SHIM_CUT"))) cut_after = atol(name);
    if ((name = getenv("DISK_SHIM_STATE"))) {
        int fd = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
        void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED) state = page;
        close(fd);
    }
}

static int is(enum state wanted) { return state && *state == wanted; }

static enum file file_named(const char *path) {
    size_t length = strlen(queue);
    if (!length || !path) return NONE;
    if (!strcmp(path, directory)) return DIRECTORY;
    if (strncmp(path, queue, length)) return NONE;
    path += length;
    if (!*path) return DATABASE;
    if (!strcmp(path, "-wal")) return WAL;
    if (!strcmp(path, "-journal")) return JOURNAL;
    return OTHER;
}

static enum file file_of(int fd) {
    char link[32], path[PATH_MAX];
    if (!*queue) return NONE;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return NONE;
    path[length] = 0;
    return file_named(path);
}

static int logged(enum file file) { return log_file >= 0 && file != NONE && file != OTHER; }

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Called with `order` held. One write per record: a kill leaves at most the last one torn. */
static void note(enum what what, enum file file, int64_t asked_at, uint64_t offset, const void *data, uint32_t bytes) {
    struct record head = {MAGIC, what, asked_at, offset, file, bytes};
    char *whole = malloc(sizeof head + bytes);
    if (!whole) abort();
    memcpy(whole, &head, sizeof head);
    if (bytes) memcpy(whole + sizeof head, data, bytes);
    if (syscall(SYS_write, log_file, whole, sizeof head + bytes) != (long)(sizeof head + bytes)) abort();
    free(whole);
    if (++records == cut_after) syscall(SYS_kill, getpid(), SIGKILL);
}

static int refused(int code) {
    errno = code;
    return -1;
}

/* 0 if a change of this file is let through, else the error it meets. */
static int trouble(enum file file) {
    if (file == NONE || file == DIRECTORY) return 0;
    return is(FULL) ? ENOSPC : is(READ_ONLY) ? EROFS : 0;
}

static int open_as(int at, const char *path, int flags, mode_t mode) {
    enum file file = file_named(path);
    if (file == NONE || file == DIRECTORY) return syscall(SYS_openat, at, path, flags, mode);
    pthread_mutex_lock(&order);
    int creates = (flags & O_CREAT) && faccessat(at, path, F_OK, 0) != 0, fd;
    int64_t asked_at = now();
    int made_by_another = (flags & O_CREAT) && (flags & O_EXCL) && !creates; /* EEXIST, whatever the disk */
    if (is(READ_ONLY) && ((flags & O_ACCMODE) != O_RDONLY || creates) && !made_by_another) fd = refused(EROFS);
    else if (is(FULL) && creates) fd = refused(ENOSPC);
    else fd = syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && logged(file)) {
        if (creates) note(CREATE, file, asked_at, 0, NULL, 0);
        else if (flags & O_TRUNC) note(TRUNCATE, file, asked_at, 0, NULL, 0);
    }
    pthread_mutex_unlock(&order);
    return fd;
}

#define OPEN_AT(at) \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    return open_as(at, path, flags, mode)

int open(const char *path, int flags, ...) { OPEN_AT(AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN_AT(AT_FDCWD); }
int openat(int at, const char *path, int flags, ...) { OPEN_AT(at); }
int openat64(int at, const char *path, int flags, ...) { OPEN_AT(at); }

static ssize_t write_at(enum file file, int fd, const void *data, size_t bytes, off_t offset) {
    int error = trouble(file);
    if (error) return refused(error);
    pthread_mutex_lock(&order);
    int64_t asked_at = now();
    ssize_t written = syscall(SYS_pwrite64, fd, data, bytes, offset);
    if (written > 0 && logged(file)) note(WRITE, file, asked_at, offset, data, written);
    pthread_mutex_unlock(&order);
    return written;
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
    return write_at(file_of(fd), fd, data, bytes, offset);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }

ssize_t write(int fd, const void *data, size_t bytes) {
    enum file file = file_of(fd);
    if (file == NONE || file == DIRECTORY) return syscall(SYS_write, fd, data, bytes);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = write_at(file, fd, data, bytes, offset);
    if (written > 0) lseek(fd, offset + written, SEEK_SET);
    return written;
}

int ftruncate64(int fd, off_t length) {
    enum file file = file_of(fd);
    int error = trouble(file);
    if (error) return refused(error);
    pthread_mutex_lock(&order);
    int64_t asked_at = now();
    int done = syscall(SYS_ftruncate, fd, length);
    if (!done && logged(file)) note(TRUNCATE, file, asked_at, length, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fsync(int fd) {
    enum file file = file_of(fd);
    if (file != NONE && is(NO_SYNC)) return refused(EIO);
    if (!logged(file)) return syscall(SYS_fsync, fd);
    pthread_mutex_lock(&order);
    note(SYNC, file, now(), 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return 0;
}
int fdatasync(int fd) { return fsync(fd); }

int unlinkat(int at, const char *path, int flags) {
    enum file file = file_named(path);
    if (file != NONE && is(READ_ONLY)) return refused(EROFS);
    pthread_mutex_lock(&order);
    int64_t asked_at = now();
    int done = syscall(SYS_unlinkat, at, path, flags);
    if (!done && logged(file)) note(UNLINK, file, asked_at, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

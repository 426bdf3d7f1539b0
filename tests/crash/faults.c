/*
 * Another clock, a full disk and a read-only lake, for one process; loaded with LD_PRELOAD. FAULTS names a folder. Its
 * file `clock` holds the seconds by which the wall clock is put. While its file `full` is there nothing can be written
 * below FAULTS_ROOT; while `readonly` is there nothing can be made, changed or taken away in FAULTS_ROOT/lake.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char folder[PATH_MAX], root[PATH_MAX], lake[PATH_MAX + 8];
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_linkat)(int, const char *, int, const char *, int);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);

static void find(void) {
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    real_openat = dlsym(RTLD_NEXT, "openat64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_mkdir = dlsym(RTLD_NEXT, "mkdir");
    real_linkat = dlsym(RTLD_NEXT, "linkat");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
}
/* Some libraries call us before our turn to begin: Python's allocator from 3.13 on. */
#define READY if (!real_unlink) find();

__attribute__((constructor)) static void begin(void) {
    find();
    const char *given = getenv("FAULTS"), *below = getenv("FAULTS_ROOT");
    if (given) snprintf(folder, sizeof folder, "%s", given);
    if (below) snprintf(root, sizeof root, "%s", below);
    if (below) snprintf(lake, sizeof lake, "%s/lake/", below);
}

/* chDB is loaded to find libc's symbols before ours: not here. */
void *dlopen(const char *name, int flags) {
    static void *(*real)(const char *, int);
    if (!real) real = dlsym(RTLD_NEXT, "dlopen");
    return real(name, flags & ~RTLD_DEEPBIND);
}

static long shift(void) {
    static volatile long seconds;
    static volatile time_t looked;
    static __thread int busy;
    struct timespec now;
    if (!folder[0] || busy) return 0;
    real_clock(CLOCK_MONOTONIC_COARSE, &now);
    long tenth = now.tv_sec * 10 + now.tv_nsec / 100000000;
    if (looked == tenth) return seconds;
    busy = 1;
    char path[PATH_MAX + 8], text[32] = "";
    int saved = errno;
    snprintf(path, sizeof path, "%s/clock", folder);
    int fd = real_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) > 0) seconds = atol(text);
        close(fd);
    }
    looked = tenth;
    busy = 0;
    errno = saved;
    return seconds;
}

int clock_gettime(clockid_t which, struct timespec *found) {
    READY
    int done = real_clock(which, found);
    if (!done && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) found->tv_sec += shift();
    return done;
}
int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}

static int marked(const char *name) {
    char path[PATH_MAX + 16];
    struct stat64 found;
    int saved = errno;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int is = folder[0] && root[0] && !stat64(path, &found);
    errno = saved;
    return is;
}
static int full(void) { return marked("full"); }
static int fixed(const char *path) {
    return lake[0] && !strncmp(path, lake, strlen(lake)) && marked("readonly");
}

static int ours(int fd) {
    char link[64], path[PATH_MAX];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = saved;
    return size > 0 && !strncmp(path, root, strlen(root));
}
#define REFUSE if (1) { errno = ENOSPC; return -1; }
#define FORBID if (1) { errno = EROFS; return -1; }

ssize_t write(int fd, const void *data, size_t size) {
    READY
    if (full() && ours(fd)) REFUSE
    return real_write(fd, data, size);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    READY
    if (full() && ours(fd)) REFUSE
    return real_pwrite(fd, data, size, at);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    READY
    if (full() && ours(fd)) REFUSE
    return real_writev(fd, parts, count);
}
int mkdir(const char *path, mode_t mode) {
    READY
    if (fixed(path)) FORBID
    if (full() && !strncmp(path, root, strlen(root))) REFUSE
    return real_mkdir(path, mode);
}
int linkat(int from, const char *path, int to, const char *name, int flags) {
    READY
    if (fixed(name)) FORBID
    return real_linkat(from, path, to, name, flags);
}
int rename(const char *path, const char *name) {
    READY
    if (fixed(path) || fixed(name)) FORBID
    return real_rename(path, name);
}
int unlink(const char *path) {
    READY
    if (fixed(path)) FORBID
    return real_unlink(path);
}
int openat64(int at, const char *path, int flags, ...) {
    READY
    if (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) && fixed(path)) FORBID
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return real_openat(at, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return openat64(AT_FDCWD, path, flags, mode);
}

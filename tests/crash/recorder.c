/*
 * Record, in their order, what a process does to the files below one folder: for a test that rebuilds the disk
 * as a power cut would leave it. Loaded with LD_PRELOAD; RECORD_ROOT is the folder, RECORD_LOG the file to append to.
 *
 * The process ends itself, as by SIGKILL, when RECORD_LOG.stop appears: between two records, so that none is missing.
 *
 * A record is a kind, three numbers and two texts. What may change a file and is not recorded faithfully is
 * recorded as '!', and the test fails by it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 65536
static unsigned char tracked[MOST];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX], stop[PATH_MAX];
static int out = -1;
static pid_t owner;
static uint64_t syncs;

#define REAL(kind, name, ...) static kind (*real_##name)(__VA_ARGS__)
REAL(int, open64, const char *, int, ...);
REAL(int, openat64, int, const char *, int, ...);
REAL(int, close, int);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(int, rename, const char *, const char *);
REAL(int, link, const char *, const char *);
REAL(int, linkat, int, const char *, int, const char *, int);
REAL(int, symlink, const char *, const char *);
REAL(int, unlink, const char *);
REAL(int, unlinkat, int, const char *, int);
REAL(int, rmdir, const char *);
REAL(int, mkdir, const char *, mode_t);
REAL(int, ftruncate64, int, off64_t);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(void *, mmap64, void *, size_t, int, int, int, off64_t);
REAL(long, syscall, long, ...);

/* chDB is loaded to find libc's symbols before ours: not here. */
void *dlopen(const char *name, int flags) {
    static void *(*real_dlopen)(const char *, int);
    if (!real_dlopen) real_dlopen = dlsym(RTLD_NEXT, "dlopen");
    return real_dlopen(name, flags & ~RTLD_DEEPBIND);
}

static void note(char, uint64_t, uint64_t, const char *, const void *, size_t);

static void find(void) {
#define FIND(name) real_##name = dlsym(RTLD_NEXT, #name)
    FIND(open64); FIND(openat64); FIND(close); FIND(write); FIND(pwrite64); FIND(writev); FIND(rename); FIND(link);
    FIND(linkat); FIND(symlink); FIND(unlink); FIND(unlinkat); FIND(rmdir); FIND(mkdir); FIND(ftruncate64);
    FIND(fsync); FIND(fdatasync); FIND(mmap64); FIND(syscall);
}
/* Some libraries call us before our turn to begin: Python's allocator from 3.13 on. */
#define READY if (!real_syscall) find();

__attribute__((constructor)) static void begin(void) {
    find();
    const char *folder = getenv("RECORD_ROOT"), *log = getenv("RECORD_LOG");
    const char *other = getenv("RECORD_OWNER");
    char self[16];
    owner = getpid();
    if (other && atoi(other) != owner) return; /* A process that the recorded one has started. */
    snprintf(self, sizeof self, "%d", owner);
    setenv("RECORD_OWNER", self, 1);
    if (!folder || !log || !realpath(folder, root)) return;
    snprintf(stop, sizeof stop, "%.4000s.stop", log);
    int low = real_open64(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    out = fcntl(low, F_DUPFD_CLOEXEC, 900);
    real_close(low);
    note('P', getpid(), 0, 0, 0, 0);
}

static void note(char kind, uint64_t a, uint64_t b, const char *path, const void *data, size_t size) {
    struct { char kind[8]; uint64_t a, b, path, size; } head = {{kind}, a, b, path ? strlen(path) : 0, size};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, size}};
    int saved = errno;
    real_writev(out, parts, 3);
    if (!access(stop, F_OK)) kill(getpid(), SIGKILL);
    errno = saved;
}

/* Where a path leads, with its last part as it is; 1 if that is below the root. */
static int place(int folder, const char *path, char *found) {
    char whole[PATH_MAX], parent[PATH_MAX];
    int saved = errno;
    if (out < 0 || !path || strlen(path) > PATH_MAX / 2) return 0;
    if (path[0] != '/' && folder != AT_FDCWD) {
        char fd[64];
        snprintf(fd, sizeof fd, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(fd, parent, sizeof parent - 1);
        if (size < 0) { errno = saved; return 0; }
        parent[size] = 0;
        snprintf(whole, sizeof whole, "%.2000s/%.2000s", parent, path);
    } else snprintf(whole, sizeof whole, "%s%.4000s", path[0] == '/' ? "" : "./", path);
    size_t size = strlen(whole);
    while (size > 1 && whole[size - 1] == '/') whole[--size] = 0;
    char *cut = strrchr(whole, '/'), name[NAME_MAX + 2];
    snprintf(name, sizeof name, "%s", cut + 1);
    if (cut == whole) cut++;
    *cut = 0;
    int below = realpath(whole, parent) && snprintf(found, PATH_MAX, "%.3000s/%s", parent, name) > 0
        && !strncmp(found, root, strlen(root)) && (found[strlen(root)] == '/' || !found[strlen(root)]);
    errno = saved;
    return below;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char found[PATH_MAX];
    READY
    if (!place(folder, path, found)) return real_openat64(folder, path, flags, mode);
    pthread_mutex_lock(&turn);
    struct stat64 before;
    int saved = errno, fresh = (flags & O_CREAT) && stat64(found, &before);
    errno = saved;
    int fd = real_openat64(folder, path, flags, mode);
    if (fd >= 0 && fd < MOST) {
        tracked[fd] = 1;
        char real[PATH_MAX];
        saved = errno;
        note('O', fd, fresh, realpath(found, real) ? real : found, 0, 0);
        if ((flags & O_TRUNC) && (flags & O_ACCMODE)) note('T', fd, 0, 0, 0, 0);
        if ((flags & O_TMPFILE) == O_TMPFILE) note('!', 0, 0, "O_TMPFILE", 0, 0);
        errno = saved;
    }
    pthread_mutex_unlock(&turn);
    return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); \
    mode = va_arg(rest, int); va_end(rest); }
int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE return opened(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* Between a vfork and its exec a child closes our files in our memory: for us they stay open. */
static int ours(int fd) { return out >= 0 && fd >= 0 && fd < MOST && tracked[fd] && getpid() == owner; }

int close(int fd) {
    READY
    if (fd == out && out >= 0) return 0;
    if (!ours(fd)) return real_close(fd);
    pthread_mutex_lock(&turn);
    tracked[fd] = 0;
    note('X', fd, 0, 0, 0, 0);
    int done = real_close(fd);
    pthread_mutex_unlock(&turn);
    return done;
}

static off64_t here(int fd) {
    struct stat64 now;
    int flags = fcntl(fd, F_GETFL);
    return (flags & O_APPEND) && !fstat64(fd, &now) ? now.st_size : lseek64(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t size) {
    READY
    if (!ours(fd)) return real_write(fd, data, size);
    pthread_mutex_lock(&turn);
    off64_t at = here(fd);
    ssize_t done = real_write(fd, data, size);
    if (done > 0) note('W', fd, at, 0, data, done);
    pthread_mutex_unlock(&turn);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    READY
    if (!ours(fd)) return real_pwrite64(fd, data, size, at);
    pthread_mutex_lock(&turn);
    ssize_t done = real_pwrite64(fd, data, size, at);
    if (done > 0) note('W', fd, at, 0, data, done);
    pthread_mutex_unlock(&turn);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    READY
    if (!ours(fd)) return real_writev(fd, parts, count);
    ssize_t sum = 0;
    for (int part = 0; part < count; part++) {
        ssize_t done = write(fd, parts[part].iov_base, parts[part].iov_len);
        if (done < 0) return sum ? sum : done;
        sum += done;
        if ((size_t)done < parts[part].iov_len) break;
    }
    return sum;
}

int ftruncate64(int fd, off64_t size) {
    READY
    if (!ours(fd)) return real_ftruncate64(fd, size);
    pthread_mutex_lock(&turn);
    int done = real_ftruncate64(fd, size);
    if (!done) note('T', fd, size, 0, 0, 0);
    pthread_mutex_unlock(&turn);
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

/* An operation on names: on one path, or from one to another. */
static int named(char kind, int from, const char *old, int to, const char *new, int (*act)(void *), void *rest) {
    char first[PATH_MAX] = "", second[PATH_MAX] = "";
    READY
    int a = old ? place(from, old, first) : 0, b = new ? place(to, new, second) : 0;
    if (!a && !b) return act(rest);
    pthread_mutex_lock(&turn);
    int done = act(rest);
    if (!done) {
        if (old && new && a != b) note('!', 0, 0, "a name crossed the root", 0, 0);
        note(kind, 0, 0, a ? first : second, a && b ? second : "", a && b ? strlen(second) : 0);
    }
    pthread_mutex_unlock(&turn);
    return done;
}

struct names { const char *old, *new; int from, to, flags; };
static int do_rename(void *n) { struct names *x = n; return real_rename(x->old, x->new); }
static int do_link(void *n) { struct names *x = n; return real_link(x->old, x->new); }
static int do_linkat(void *n) { struct names *x = n; return real_linkat(x->from, x->old, x->to, x->new, x->flags); }
static int do_unlink(void *n) { return real_unlink(((struct names *)n)->old); }
static int do_unlinkat(void *n) { struct names *x = n; return real_unlinkat(x->from, x->old, x->flags); }
static int do_rmdir(void *n) { return real_rmdir(((struct names *)n)->old); }
static int do_mkdir(void *n) { struct names *x = n; return real_mkdir(x->old, x->flags); }
static int do_renameat2(void *n) {
    struct names *x = n;
    return real_syscall(SYS_renameat2, x->from, x->old, x->to, x->new, x->flags);
}

int rename(const char *old, const char *new) {
    struct names n = {old, new}; return named('R', AT_FDCWD, old, AT_FDCWD, new, do_rename, &n);
}
int renameat(int from, const char *old, int to, const char *new) {
    struct names n = {old, new, from, to}; return named('R', from, old, to, new, do_renameat2, &n);
}
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    struct names n = {old, new, from, to, flags};
    return named(flags & RENAME_EXCHANGE ? 'E' : 'R', from, old, to, new, do_renameat2, &n);
}
int link(const char *old, const char *new) {
    struct names n = {old, new}; return named('L', AT_FDCWD, old, AT_FDCWD, new, do_link, &n);
}
int linkat(int from, const char *old, int to, const char *new, int flags) {
    struct names n = {old, new, from, to, flags}; return named('L', from, old, to, new, do_linkat, &n);
}
int unlink(const char *path) {
    struct names n = {path}; return named('U', AT_FDCWD, path, 0, 0, do_unlink, &n);
}
int unlinkat(int from, const char *path, int flags) {
    struct names n = {path, 0, from, 0, flags}; return named('U', from, path, 0, 0, do_unlinkat, &n);
}
int rmdir(const char *);
int remove(const char *path) {
    int done = unlink(path);
    return done && errno == EISDIR ? rmdir(path) : done;
}
int rmdir(const char *path) {
    struct names n = {path}; return named('U', AT_FDCWD, path, 0, 0, do_rmdir, &n);
}
int mkdir(const char *path, mode_t mode) {
    struct names n = {path, 0, 0, 0, mode}; return named('M', AT_FDCWD, path, 0, 0, do_mkdir, &n);
}
int symlink(const char *target, const char *path) {
    char found[PATH_MAX];
    READY
    if (!place(AT_FDCWD, path, found)) return real_symlink(target, path);
    pthread_mutex_lock(&turn);
    int done = real_symlink(target, path);
    if (!done) note('S', 0, 0, found, target, strlen(target));
    pthread_mutex_unlock(&turn);
    return done;
}

static int synced(int fd, int (*act)(int)) {
    if (!ours(fd)) return act(fd);
    pthread_mutex_lock(&turn);
    uint64_t number = ++syncs;
    note('F', fd, number, 0, 0, 0);
    pthread_mutex_unlock(&turn);
    int done = act(fd);
    pthread_mutex_lock(&turn);
    if (!done) note('f', fd, number, 0, 0, 0);
    pthread_mutex_unlock(&turn);
    return done;
}
int fsync(int fd) { READY return synced(fd, real_fsync); }
int fdatasync(int fd) { READY return synced(fd, real_fdatasync); }

static void *mapped(void *at, size_t size, int protection, int flags, int fd, off64_t offset) {
    READY
    if (ours(fd) && (protection & PROT_WRITE) && (flags & MAP_SHARED)) {
        char link[64], path[PATH_MAX] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        /* SQLite's index of its log: made anew by whoever opens the journal first. */
        if (length < 4 || strcmp(path + length - 4, "-shm")) note('!', 0, 0, "a file is mapped to be written", 0, 0);
    }
    return real_mmap64(at, size, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset) {
    return mapped(at, size, protection, flags, fd, offset);
}
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return mapped(at, size, protection, flags, fd, offset);
}

static void unknown(int fd, const char *what) { READY if (ours(fd)) note('!', 0, 0, what, 0, 0); }
ssize_t sendfile(int to, int from, off_t *at, size_t size) {
    unknown(to, "sendfile"); return real_syscall(SYS_sendfile, to, from, at, size);
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
    unknown(to, "sendfile"); return real_syscall(SYS_sendfile, to, from, at, size);
}
ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t size, unsigned flags) {
    unknown(to, "copy_file_range"); return real_syscall(SYS_copy_file_range, from, a, to, b, size, flags);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    unknown(fd, "pwritev"); return real_syscall(SYS_pwritev, fd, parts, count, at, 0);
}
int truncate(const char *path, off_t size) {
    char found[PATH_MAX];
    READY
    if (place(AT_FDCWD, path, found)) note('!', 0, 0, "truncate", 0, 0);
    return real_syscall(SYS_truncate, path, size);
}
int fallocate(int fd, int mode, off_t at, off_t size) {
    unknown(fd, "fallocate"); return real_syscall(SYS_fallocate, fd, mode, at, size);
}

long syscall(long number, ...) {
    long a[6];
    READY
    va_list rest;
    va_start(rest, number);
    for (int each = 0; each < 6; each++) a[each] = va_arg(rest, long);
    va_end(rest);
    switch (number) {
    case SYS_renameat2: return renameat2(a[0], (char *)a[1], a[2], (char *)a[3], a[4]);
    case SYS_copy_file_range: unknown(a[2], "copy_file_range"); break;
    case SYS_io_uring_setup: if (out >= 0) note('!', 0, 0, "io_uring", 0, 0); break;
    case SYS_pwritev2: unknown(a[0], "pwritev2"); break;
    case SYS_io_submit: if (out >= 0) note('!', 0, 0, "io_submit", 0, 0); break;
    }
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

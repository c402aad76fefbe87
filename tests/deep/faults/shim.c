/* A disk that can be looked into: preloaded into a process, it writes every change of a file below SHIM_ROOT to the file
 * SHIM_LOG, in order, so that a test can build what a loss of power would have left at any moment; and while the file
 * SHIM_FAIL exists, the calls whose letters it holds fail: S fsync and fdatasync, D those of a database file alone, W writes,
 * R reads, each with EIO.
 *
 * Records: kind (1 byte), inode (8), offset (8), length (4), then length bytes, native byte order.
 *   C created: path    W written: bytes    T truncated to offset    S synced
 *   L linked: path     U unlinked: path    M renamed: from NUL to   D folder made: path (inode = its own)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(type, name, ...) \
    static type (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -2;
static const char *root, *fail;
static unsigned char watched[65536];

static ssize_t raw_write(int fd, const void *data, size_t n) {
    REAL(ssize_t, write, int, const void *, size_t);
    return real_write(fd, data, n);
}

static void start(void) {
    REAL(int, open64, const char *, int, ...);
    if (log_fd != -2) return;
    root = getenv("SHIM_ROOT");
    fail = getenv("SHIM_FAIL");
    const char *path = getenv("SHIM_LOG");
    log_fd = path ? real_open64(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

static int is_ours(const char *path) {
    size_t n;
    start();
    if (!root || !path) return 0;
    n = strlen(root);
    if (strncmp(path, root, n) || (path[n] != '/' && path[n])) return 0;
    n = strlen(path);
    return !(n > 4 && !strcmp(path + n - 4, "-shm"));
}

static int fails(char letter) {
    char letters[8] = "";
    int fd;
    ssize_t n;
    REAL(int, open64, const char *, int, ...);
    REAL(ssize_t, read, int, void *, size_t);
    if (!fail || (fd = real_open64(fail, O_RDONLY | O_CLOEXEC)) < 0) return 0;
    n = real_read(fd, letters, sizeof letters - 1);
    close(fd);
    if (n <= 0 || !memchr(letters, letter, n)) return 0;
    errno = EIO;
    return 1;
}

static void record(char kind, uint64_t inode, uint64_t offset, const void *data, uint32_t n) {
    char head[21];
    struct iovec parts[2] = {{head, sizeof head}, {(void *)data, n}};
    if (log_fd < 0) return;
    head[0] = kind;
    memcpy(head + 1, &inode, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, &n, 4);
    pthread_mutex_lock(&lock);
    if (writev(log_fd, parts, n ? 2 : 1) != (ssize_t)(sizeof head + n)) abort();
    pthread_mutex_unlock(&lock);
}

static uint64_t inode_of(int fd) {
    struct stat s;
    return fstat(fd, &s) ? 0 : s.st_ino;
}

static int is_database(const char *path) {
    size_t n = strlen(path);
    return n > 3 && !strcmp(path + n - 3, ".db");
}

static int ours(int fd) { return fd >= 0 && fd < (int)sizeof watched && watched[fd]; }

static int opened(int fd, const char *path, int existed, int flags) {
    if (fd < 0 || fd >= (int)sizeof watched) return fd;
    watched[fd] = is_ours(path) ? 1 + is_database(path) : 0;
    if (!watched[fd]) return fd;
    if ((flags & O_CREAT) && !existed) record('C', inode_of(fd), 0, path, strlen(path));
    else if (flags & O_TRUNC) record('T', inode_of(fd), 0, NULL, 0);
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        int existed = is_ours(path) && !access(path, F_OK); \
        return opened(real_##name(path, flags, mode), path, existed, flags); \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(int, close, int);
    if (fd >= 0 && fd < (int)sizeof watched) watched[fd] = 0;
    return real_close(fd);
}

#define PWRITE(name, type) \
    ssize_t name(int fd, const void *data, size_t n, type offset) { \
        REAL(ssize_t, name, int, const void *, size_t, type); \
        if (ours(fd) && fails('W')) return -1; \
        ssize_t done = real_##name(fd, data, n, offset); \
        if (done > 0 && ours(fd)) record('W', inode_of(fd), offset, data, done); \
        return done; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t n) {
    if (!ours(fd)) return raw_write(fd, data, n);
    if (fails('W')) return -1;
    ssize_t done = raw_write(fd, data, n);
    if (done > 0) record('W', inode_of(fd), lseek(fd, 0, SEEK_CUR) - done, data, done);
    return done;
}

#define PREAD(name, type) \
    ssize_t name(int fd, void *data, size_t n, type offset) { \
        REAL(ssize_t, name, int, void *, size_t, type); \
        if (ours(fd) && fails('R')) return -1; \
        return real_##name(fd, data, n, offset); \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define TRUNCATE(name, type) \
    int name(int fd, type size) { \
        REAL(int, name, int, type); \
        if (ours(fd) && fails('W')) return -1; \
        int done = real_##name(fd, size); \
        if (!done && ours(fd)) record('T', inode_of(fd), size, NULL, 0); \
        return done; \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name) \
    int name(int fd) { \
        REAL(int, name, int); \
        if (ours(fd) && (fails('S') || (watched[fd] == 2 && fails('D')))) return -1; \
        int done = real_##name(fd); \
        if (!done && ours(fd)) record('S', inode_of(fd), 0, NULL, 0); \
        return done; \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    int done = real_unlink(path);
    if (!done && is_ours(path)) record('U', 0, 0, path, strlen(path));
    return done;
}

int link(const char *from, const char *to) {
    REAL(int, link, const char *, const char *);
    struct stat s;
    int done = real_link(from, to);
    if (!done && is_ours(to) && !stat(to, &s)) record('L', s.st_ino, 0, to, strlen(to));
    return done;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    char both[8192];
    int done = real_rename(from, to);
    if (!done && is_ours(to)) {
        int n = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
        record('M', 0, 0, both, n);
    }
    return done;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    struct stat s;
    int done = real_mkdir(path, mode);
    if (!done && is_ours(path) && !stat(path, &s)) record('D', s.st_ino, 0, path, strlen(path));
    return done;
}

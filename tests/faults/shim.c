/* Preloaded between a process and libc: at one chosen call on one chosen file it dies, or the disk fails.

   Everything else passes through, and nothing happens before `faults_arm`. The call that is chosen is
   the nth (from 1) of a name ("write", "fsync", "rename", "mkdir", "unlink", "rmdir", "open") whose path
   matches a glob. For a rename, the path is the new one. `when`: 0 die before it, 1 die when half of its
   bytes are written, 2 die after it; 3 fail with `code` after half of the bytes; 4 only count.
   `faults_record` writes each call, and what was written, to a descriptor: the log that a power cut is
   replayed from. `faults_clock` moves the wall clock. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char chosen_call[16], chosen_path[PATH_MAX], root[PATH_MAX];
static int chosen_nth, chosen_when = -1, chosen_code, counted, record_to = -1;
static long clock_offset;

void faults_arm(const char *call, const char *path, int nth, int when, int code) {
    snprintf(chosen_call, sizeof chosen_call, "%s", call);
    snprintf(chosen_path, sizeof chosen_path, "%s", path);
    chosen_nth = nth, chosen_code = code, counted = 0, chosen_when = when;
}
int faults_counted(void) { return counted; }
void faults_record(int descriptor, const char *folder) {
    snprintf(root, sizeof root, "%s", folder);
    record_to = descriptor;
}
void faults_clock(long seconds) { clock_offset = seconds; }

static void die(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

static int chosen(const char *call, const char *path) {
    if (chosen_when < 0 || strcmp(call, chosen_call) || fnmatch(chosen_path, path, 0)) return 0;
    return ++counted == chosen_nth && chosen_when < 4;
}

/* One line "call path [second path | offset length]" and, for a write, its bytes. */
static void record(const char *call, const char *path, const char *more, const void *bytes, size_t length) {
    if (record_to < 0 || strncmp(path, root, strlen(root))) return;
    char line[2 * PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%s\t%s\t%s\t%zu\n", call, path, more, length);
    syscall(SYS_write, record_to, line, size);
    for (size_t done = 0; done < length;) {
        long wrote = syscall(SYS_write, record_to, (const char *)bytes + done, length - done);
        if (wrote <= 0) die();
        done += wrote;
    }
}

static void path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    path[size > 0 ? size : 0] = 0;
}

static void path_at(int folder, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char base[PATH_MAX];
    if (folder == AT_FDCWD) { if (syscall(SYS_getcwd, base, sizeof base) < 0) base[0] = 0; }
    else path_of(folder, base);
    snprintf(path, PATH_MAX, "%.2000s/%.2000s", base, name);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A call that changes a name: die before, do it, record it, die after. */
#define NAMED(call, path, more, doing)                              \
    int hit = chosen(call, path);                                   \
    if (hit && chosen_when < 2) die();                              \
    if (hit && chosen_when == 3) { errno = chosen_code; return -1; }\
    int result = (doing);                                           \
    int kept = errno;                                               \
    if (result >= 0) record(call, path, more, "", 0);               \
    if (hit) die();                                                 \
    errno = kept;                                                   \
    return result;

static ssize_t do_write(int descriptor, const void *bytes, size_t length, off_t at) {
    char path[PATH_MAX], where[32];
    if (chosen_when < 0 && record_to < 0)
        return at < 0 ? syscall(SYS_write, descriptor, bytes, length) : syscall(SYS_pwrite64, descriptor, bytes, length, at);
    path_of(descriptor, path);
    int hit = chosen("write", path);
    if (hit && chosen_when == 0) die();
    if (hit && (chosen_when == 1 || chosen_when == 3)) length /= 2;
    off_t start = at < 0 ? lseek(descriptor, 0, SEEK_CUR) : at;
    if (at < 0 && (fcntl(descriptor, F_GETFL) & O_APPEND)) start = lseek(descriptor, 0, SEEK_END);
    ssize_t wrote =
        at < 0 ? syscall(SYS_write, descriptor, bytes, length) : syscall(SYS_pwrite64, descriptor, bytes, length, at);
    int kept = errno;
    snprintf(where, sizeof where, "%ld", (long)start);
    if (wrote > 0) record("write", path, where, bytes, wrote);
    if (hit && chosen_when == 3) { errno = chosen_code; return -1; }
    if (hit) die();
    errno = kept;
    return wrote;
}

ssize_t write(int descriptor, const void *bytes, size_t length) { return do_write(descriptor, bytes, length, -1); }
ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t at) {
    return do_write(descriptor, bytes, length, at);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t at) {
    return do_write(descriptor, bytes, length, at);
}
ssize_t writev(int descriptor, const struct iovec *parts, int count) { /* short writes are allowed: the first part */
    while (count > 1 && !parts->iov_len) parts++, count--;
    return count ? do_write(descriptor, parts->iov_base, parts->iov_len, -1) : 0;
}

static int do_open(int folder, const char *name, int flags, mode_t mode) {
    if ((!(flags & (O_CREAT | O_TRUNC))) || (chosen_when < 0 && record_to < 0))
        return syscall(SYS_openat, folder, name, flags, mode);
    char path[PATH_MAX];
    path_at(folder, name, path);
    NAMED("open", path, flags & O_TRUNC ? "truncated" : "", syscall(SYS_openat, folder, name, flags, mode))
}

#define MODE(flags)                                     \
    mode_t mode = 0;                                    \
    if ((flags) & (O_CREAT | O_TMPFILE)) {              \
        va_list more;                                   \
        va_start(more, flags);                          \
        mode = va_arg(more, mode_t);                    \
        va_end(more);                                   \
    }
int open(const char *name, int flags, ...) { MODE(flags) return do_open(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return do_open(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE(flags) return do_open(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) {
    MODE(flags) return do_open(folder, name, flags | O_LARGEFILE, mode);
}

int fsync(int descriptor) {
    char path[PATH_MAX];
    path_of(descriptor, path);
    NAMED("fsync", path, "", syscall(SYS_fsync, descriptor))
}
int fdatasync(int descriptor) { return fsync(descriptor); }

int renameat(int from, const char *old, int to, const char *new) {
    char before[PATH_MAX], after[PATH_MAX];
    path_at(from, old, before);
    path_at(to, new, after);
    NAMED("rename", after, before, syscall(SYS_renameat2, from, old, to, new, 0))
}
int rename(const char *old, const char *new) { return renameat(AT_FDCWD, old, AT_FDCWD, new); }

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    path_at(folder, name, path);
    NAMED("mkdir", path, "", syscall(SYS_mkdirat, folder, name, mode))
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int unlinkat(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    path_at(folder, name, path);
    NAMED(flags & AT_REMOVEDIR ? "rmdir" : "unlink", path, "", syscall(SYS_unlinkat, folder, name, flags))
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int clock_gettime(clockid_t which, struct timespec *now) {
    int result = REAL(clock_gettime)(which, now);
    if (!result && which == CLOCK_REALTIME) now->tv_sec += clock_offset;
    return result;
}

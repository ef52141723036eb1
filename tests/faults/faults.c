/* Preloaded into a portal: fails its n-th write, and from then on all or none; shifts its clock.

   Only what is below one folder is counted, and only once a test has armed it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITES = 1, NAMES = 2, SYNCS = 4, REMOVALS = 8 };

static int kinds, error, lasts, at, seen, skips;
static long shift;
static char folder[PATH_MAX];

/* Fail the call number AT among those of these KINDS, and the later ones, too, if it LASTS. */
void faults_arm(const char *below, int of_kinds, int with_error, int call, int does_last)
{
    snprintf(folder, sizeof folder, "%s/", below);
    kinds = of_kinds, error = with_error, at = call, lasts = does_last, seen = 0;
}

/* Let all calls succeed, and return how many were counted. */
int faults_disarm(void)
{
    kinds = 0;
    return seen;
}

/* Have nothing wait for the disk, to measure what that costs. */
void faults_skip_syncs(int does_skip)
{
    skips = does_skip;
}

/* Set the clock ahead of the right one, or back. */
void faults_shift(long seconds)
{
    shift = seconds;
}

static int fails(int kind, const char *path)
{
    if (!(kinds & kind) || strncmp(path, folder, strlen(folder)) != 0)
        return 0;
    int number = __sync_add_and_fetch(&seen, 1);
    if (number != at && !(lasts && number > at && at))
        return 0;
    errno = error;
    return 1;
}

static int fails_on(int kind, int descriptor)
{
    if (!(kinds & kind))
        return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(kind, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_ON(kind, fd) if (fails_on(kind, fd)) return -1
#define FAIL(kind, path) if (fails(kind, path)) return -1

ssize_t write(int fd, const void *data, size_t size)
{
    FAIL_ON(WRITES, fd);
    return REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    FAIL_ON(WRITES, fd);
    return REAL(writev)(fd, pieces, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    FAIL_ON(WRITES, fd);
    return REAL(pwrite)(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    FAIL_ON(WRITES, fd);
    return REAL(pwrite64)(fd, data, size, offset);
}

int fsync(int fd)
{
    FAIL_ON(SYNCS, fd);
    return skips ? 0 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    FAIL_ON(SYNCS, fd);
    return skips ? 0 : REAL(fdatasync)(fd);
}

int rename(const char *from, const char *to)
{
    FAIL(NAMES, to);
    return REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
    FAIL(NAMES, to);
    return REAL(link)(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    FAIL(NAMES, path);
    return REAL(mkdir)(path, mode);
}

int unlink(const char *path)
{
    FAIL(REMOVALS, path);
    return REAL(unlink)(path);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if (flags & O_CREAT && access(path, F_OK) != 0) \
            FAIL(NAMES, path); \
        return REAL(name)(path, flags, mode); \
    }

OPEN(open)
OPEN(open64)

int clock_gettime(clockid_t id, struct timespec *now)
{
    int done = REAL(clock_gettime)(id, now);
    if (id == CLOCK_REALTIME)
        now->tv_sec += shift;
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int done = REAL(gettimeofday)(now, zone);
    now->tv_sec += shift;
    return done;
}

time_t time(time_t *result)
{
    time_t now = REAL(time)(NULL) + shift;
    if (result)
        *result = now;
    return now;
}

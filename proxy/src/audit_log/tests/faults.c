/* Has writes and syncs of files fail as a full or a failing disk would. Loaded by the dynamic linker (LD_PRELOAD) into a
 * test, which arms it through a file that both have mapped: int64 fields in the machine's order:
 *   0  calls until the fault, counted down; negative: none
 *   1  what fails: 0 ENOSPC, 1 EIO, 2 half is written, then ENOSPC
 *   2  whether everything after it fails as well, until it is disarmed
 *   3  calls that have failed
 * Only files below TIDEGATE_FAULTS_DIR are concerned.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int64_t *control;
static const char *dir;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("TIDEGATE_FAULTS_CONTROL");
    dir = getenv("TIDEGATE_FAULTS_DIR");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0 || !dir)
        return;
    void *map = mmap(NULL, 32, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        control = map;
}

static int concerned(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return !strncmp(path, dir, strlen(dir));
}

/* 0: go on; 1: fail; 2: write half. */
static int struck(int fd, int may_halve)
{
    if (!control || control[0] < 0 || !concerned(fd))
        return 0;
    pthread_mutex_lock(&lock);
    int what = 0;
    if (control[0] > 0)
        control[0]--;
    else if (control[0] == 0) {
        what = control[1] == 2 && may_halve ? 2 : 1;
        /* Half a write is followed by the error that tells of it. */
        if (what == 2)
            control[1] = 0;
        else if (!control[2])
            control[0] = -1;
        control[3]++;
    }
    pthread_mutex_unlock(&lock);
    if (what == 1)
        errno = control[1] == 1 ? EIO : ENOSPC;
    return what;
}

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *bytes, size_t length)
{
    ssize_t (*real)(int, const void *, size_t) = REAL("write", ssize_t (*)(int, const void *, size_t));
    switch (struck(fd, length > 1)) {
    case 1: return -1;
    case 2: return real(fd, bytes, length / 2);
    default: return real(fd, bytes, length);
    }
}

#define PWRITE(name)                                                                                     \
    ssize_t name(int fd, const void *bytes, size_t length, off64_t at)                                   \
    {                                                                                                    \
        ssize_t (*real)(int, const void *, size_t, off64_t) =                                            \
            REAL(#name, ssize_t (*)(int, const void *, size_t, off64_t));                                \
        switch (struck(fd, length > 1)) {                                                                \
        case 1: return -1;                                                                               \
        case 2: return real(fd, bytes, length / 2, at);                                                  \
        default: return real(fd, bytes, length, at);                                                     \
        }                                                                                                \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define PLAIN(name, arguments, passed)                                                                   \
    int name arguments                                                                                   \
    {                                                                                                    \
        int (*real) arguments = REAL(#name, int (*) arguments);                                          \
        return struck(fd, 0) ? -1 : real passed;                                                         \
    }
PLAIN(fsync, (int fd), (fd))
PLAIN(fdatasync, (int fd), (fd))
PLAIN(ftruncate, (int fd, off64_t length), (fd, length))
PLAIN(ftruncate64, (int fd, off64_t length), (fd, length))

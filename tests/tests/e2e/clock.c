/* Sets a program's wall clock so many seconds off. Loaded by the dynamic linker (LD_PRELOAD); the seconds are an int64 in
 * the machine's order in the file that TIDEGATE_CLOCK names, which may change while it runs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *off;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("TIDEGATE_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        off = map;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int done = (int)syscall(SYS_clock_gettime, clock, time);
    if (done == 0 && off && clock == CLOCK_REALTIME)
        time->tv_sec += *off;
    return done;
}

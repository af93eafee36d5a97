/* Ends the agent at an exact step, and steps its wall clock. Loaded into the programs of a throwaway device by the
 * dynamic linker (ld.so.preload), so that the program under test is the one that ships.
 *
 * Orders stand in a file, one a line: ACTION STEP. A step is the name of a journal record
 * (`granted`), met when the agent writes it, or `change`, met at each rename, link or removal
 * of any other file, by the agent or by a tool for accounts that it runs: such a tool dies
 * after its agent. The first line whose step is met is taken off the file; its action is
 *   pass    nothing: the next line waits for a later step
 *   before  SIGKILL, the step not done
 *   torn    SIGKILL, half of the record written (as before, where it is no record)
 *   after   SIGKILL, the record on disk or the change made, nothing after it done
 *
 * A second file holds by how many seconds the wall clock of the agent and its tools is off.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define ORDERS "/run/tidegate/saboteur"
#define CLOCK "/run/tidegate/clock"
#define JOURNAL "/tidegate-agent/"

enum action { PASS, BEFORE, TORN, AFTER };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int die_at_sync = -1;

static int is_agent(const char *name) { return !strcmp(name, "tidegate-agent"); }

static int is_tool(const char *name)
{
    return !strcmp(name, "usermod") || !strcmp(name, "useradd") || !strcmp(name, "userdel");
}

/* Everybody else is let alone, without a call to the kernel: sshd's sandbox would end it. */
static int is_concerned(void)
{
    const char *self = program_invocation_short_name;
    return is_agent(self) || is_tool(self);
}

/* The agent that runs this program, where it is a tool for accounts. */
static pid_t agent_of_tool(void)
{
    if (!is_tool(program_invocation_short_name))
        return 0;
    char path[64], name[32] = "";
    pid_t parent = getppid();
    snprintf(path, sizeof path, "/proc/%d/comm", parent);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return 0;
    name[strcspn(name, "\n")] = 0;
    return is_agent(name) ? parent : 0;
}

__attribute__((noreturn)) static void die(void)
{
    pid_t agent = agent_of_tool();
    if (agent)
        kill(agent, SIGKILL);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* The journal, and what is to take its place. */
static int is_journal(int fd)
{
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    return strstr(path, JOURNAL) && (!strcmp(name, "/journal") || !strcmp(name, "/.journal.tidegate"));
}

/* Takes the first order off the file if its step is met. */
static enum action met(const char *record, size_t length)
{
    enum action action = PASS;
    if (!is_concerned() || access(ORDERS, F_OK))
        return action;
    /* An administrator's. */
    if (is_tool(program_invocation_short_name) && !agent_of_tool())
        return action;
    pthread_mutex_lock(&lock);
    int fd = open(ORDERS, O_RDWR | O_CLOEXEC);
    char orders[4096];
    ssize_t size = fd < 0 ? -1 : read(fd, orders, sizeof orders - 1);
    if (size > 0) {
        orders[size] = 0;
        char word[16], step[32], tag[64];
        int used = 0;
        if (sscanf(orders, "%15s %31s\n%n", word, step, &used) == 2) {
            snprintf(tag, sizeof tag, "\"record\":\"%s\"", step);
            int here = record ? memmem(record, length, tag, strlen(tag)) != NULL : !strcmp(step, "change");
            if (here) {
                action = !strcmp(word, "before") ? BEFORE
                       : !strcmp(word, "torn")   ? TORN
                       : !strcmp(word, "after")  ? AFTER
                                                 : PASS;
                ssize_t left = size - used;
                if (left <= 0)
                    unlinkat(AT_FDCWD, ORDERS, 0);
                else if (pwrite(fd, orders + used, left, 0) != left || ftruncate(fd, left))
                    perror("saboteur");
            }
        }
    }
    if (fd >= 0)
        close(fd);
    pthread_mutex_unlock(&lock);
    return action;
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (is_agent(program_invocation_short_name) && fd > 2 && length > 36 && !access(ORDERS, F_OK) && is_journal(fd)) {
        switch (met(bytes, length)) {
        case BEFORE:
            die();
        case TORN:
            real(fd, bytes, length / 2);
            die();
        case AFTER:
            die_at_sync = fd;
        case PASS:
            break;
        }
    }
    return real(fd, bytes, length);
}

static int sync_with(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (fd == die_at_sync)
        die();
    return result;
}

int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }

static int change(const char *path)
{
    if (!strcmp(path, ORDERS))
        return PASS;
    enum action action = met(NULL, 0);
    if (action == BEFORE || action == TORN)
        die();
    return action;
}

#define CHANGES_TO(name)                                                                            \
    int name(const char *from, const char *to)                                                      \
    {                                                                                               \
        int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, #name); \
        int action = change(to), result = real(from, to);                                           \
        if (action == AFTER)                                                                        \
            die();                                                                                  \
        return result;                                                                              \
    }

CHANGES_TO(rename)
CHANGES_TO(link)

int unlink(const char *path)
{
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    int action = change(path), result = real(path);
    if (action == AFTER)
        die();
    return result;
}

static time_t stepped(void)
{
    if (!is_concerned())
        return 0;
    int before = errno;
    char text[32];
    int fd = open(CLOCK, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    errno = before;
    if (length <= 0)
        return 0;
    text[length] = 0;
    return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int result = syscall(SYS_clock_gettime, clock, at);
    if (!result && clock == CLOCK_REALTIME)
        at->tv_sec += stepped();
    return result;
}

int gettimeofday(struct timeval *at, void *zone)
{
    int result = syscall(SYS_gettimeofday, at, zone);
    if (!result && at)
        at->tv_sec += stepped();
    return result;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

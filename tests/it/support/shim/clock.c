/* A wall clock that somebody sets while the program runs, loaded by LD_PRELOAD. CLOCK_SHIM_STATE names a file of eight
 * bytes: the number of seconds the clock is off. It is mapped, so a step is seen by the next call and costs nothing.
 * Clocks that only count (monotonic, boot time) are left alone, as by a real step.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *seconds_off;

__attribute__((constructor)) static void start(void) {
    const char *name = getenv("CLOCK_SHIM_STATE");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) seconds_off = page;
    close(fd);
}

static int64_t off(void) { return seconds_off ? *seconds_off : 0; }

int clock_gettime(clockid_t clock, struct timespec *time) {
    int done = syscall(SYS_clock_gettime, clock, time);
    if (!done && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += off();
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int done = syscall(SYS_gettimeofday, now, zone);
    if (!done) now->tv_sec += off();
    return done;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

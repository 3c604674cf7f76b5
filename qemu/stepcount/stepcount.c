/* Executed instructions of each call of some functions, by single-stepping a child process (Linux on x86-64).
 *
 * usage: stepcount PREFIX MILLISECONDS PROGRAM ENTRY:LO:HI...
 * Addresses are hexadecimal and those of a program that is not relocated. A call lasts from ENTRY, reached directly
 * from the caller's code [LO, HI), until control is back there. Counts go to PREFIX.0, PREFIX.1, ... as 64-bit
 * words. When the time is over and each function has one count, the child is ended. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FUNCTIONS = 4 };

struct function {
    uint64_t entry, low, high;
    long original; /* the word of code under the breakpoint */
    FILE *out;
    uint64_t calls; /* counted */
};

static struct function functions[MAX_FUNCTIONS];
static int n_functions;
static pid_t child;

static void fail(const char *text)
{
    fprintf(stderr, "stepcount: %s: %s\n", text, strerror(errno));
    if (child > 0) {
        kill(child, SIGKILL);
    }
    exit(1);
}

static void request(int what, uint64_t address, long data)
{
    if (ptrace(what, child, (void *)(uintptr_t)address, (void *)data) == -1) {
        fail("ptrace");
    }
}

/* Wait until the child stops; false when it has ended well. */
static bool stopped(void)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child) {
        fail("waitpid");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return false;
    }
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
        errno = ECHILD;
        fail("the program failed");
    }
    return true;
}

static uint64_t program_counter(void)
{
    struct user_regs_struct registers;
    request(PTRACE_GETREGS, 0, (long)&registers);
    return registers.rip;
}

static void move_to(uint64_t address)
{
    struct user_regs_struct registers;
    request(PTRACE_GETREGS, 0, (long)&registers);
    registers.rip = address;
    request(PTRACE_SETREGS, 0, (long)&registers);
}

static int64_t milliseconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        fail("clock_gettime");
    }
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool each_has_one(void)
{
    for (int f = 0; f < n_functions; f++) {
        if (functions[f].calls == 0) {
            return false;
        }
    }
    return true;
}

static bool called_by(const struct function *f)
{
    struct user_regs_struct registers;
    request(PTRACE_GETREGS, 0, (long)&registers);
    errno = 0;
    const uint64_t back = (uint64_t)ptrace(PTRACE_PEEKDATA, child, (void *)(uintptr_t)registers.rsp, NULL);
    if (errno != 0) {
        fail("ptrace");
    }
    return back >= f->low && back < f->high;
}

static void set_breakpoints(bool on)
{
    for (int f = 0; f < n_functions; f++) {
        const long trap = (functions[f].original & ~0xFFL) | 0xCC;
        request(PTRACE_POKETEXT, functions[f].entry, on ? trap : functions[f].original);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc - 4 > MAX_FUNCTIONS) {
        fputs("usage: stepcount PREFIX MILLISECONDS PROGRAM ENTRY:LO:HI...\n", stderr);
        return 2;
    }
    const int64_t limit = strtoll(argv[2], NULL, 10);
    const int64_t start = milliseconds();
    for (int i = 4; i < argc; i++) {
        struct function *f = &functions[n_functions];
        char name[256];
        if (sscanf(argv[i], "%" SCNx64 ":%" SCNx64 ":%" SCNx64, &f->entry, &f->low, &f->high) != 3 ||
            snprintf(name, sizeof name, "%s.%d", argv[1], n_functions) >= (int)sizeof name ||
            (f->out = fopen(name, "wb")) == NULL) {
            fail(argv[i]);
        }
        n_functions++;
    }
    child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) {
            execl(argv[3], argv[3], (char *)NULL);
        }
        _exit(127);
    }
    if (child < 0) {
        fail("fork");
    }
    bool alive = stopped(); /* at the first instruction */
    for (int f = 0; alive && f < n_functions; f++) {
        errno = 0;
        functions[f].original = ptrace(PTRACE_PEEKTEXT, child, (void *)(uintptr_t)functions[f].entry, NULL);
        if (errno != 0) {
            fail("ptrace");
        }
    }
    while (alive && !(each_has_one() && milliseconds() - start >= limit)) {
        set_breakpoints(true);
        request(PTRACE_CONT, 0, 0);
        alive = stopped();
        if (!alive) {
            break;
        }
        const uint64_t entry = program_counter() - 1U; /* past the breakpoint */
        struct function *counted = NULL;
        for (int f = 0; f < n_functions; f++) {
            if (functions[f].entry == entry) {
                counted = &functions[f];
            }
        }
        if (counted == NULL) {
            errno = EFAULT;
            fail("a stop at no breakpoint");
        }
        set_breakpoints(false);
        move_to(entry);
        const bool direct = called_by(counted);
        uint64_t count = 0;
        uint64_t at = entry;
        do {
            request(PTRACE_SINGLESTEP, 0, 0);
            alive = stopped();
            count++;
            at = alive ? program_counter() : 0U;
        } while (alive && direct && (at < counted->low || at >= counted->high));
        if (alive && direct) {
            if (fwrite(&count, sizeof count, 1, counted->out) != 1) {
                fail("a count cannot be written");
            }
            counted->calls++;
        }
    }
    for (int f = 0; f < n_functions; f++) {
        if (fclose(functions[f].out) != 0) {
            fail("a count cannot be written");
        }
    }
    if (alive) {
        kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    }
    return 0;
}

/* QEMU plugin (API version 1): which blocks each call of some functions executed, from where and to where.
 *
 * Arguments: out=PREFIX, then per function f=ENTRY:LO:HI in hexadecimal. ENTRY is the function's first instruction,
 * [LO, HI) the code of its only caller that is traced. A call lasts from ENTRY, reached directly from the caller,
 * until control is back in the caller. Directly means in the next block: a batch function that calls ENTRY, too, is not
 * the caller.
 *
 * A passage is a translation block executed once: the addresses of the instruction executed before it, of its first
 * and its last instruction, and of the one executed after it. At ENTRY nothing is before, at the end nothing is after:
 * NOWHERE. (Sizes of instructions are not given: QEMU 7.2 adds two bytes to the one in front of a page's end.) A call's path is how often it took each passage. Files, of 32-bit words of the host:
 *   PREFIX.passages   {before, first, last, after} of passage 0, 1, ...
 *   PREFIX.paths      per different path its number of passages, then {passage, count} of each
 *   PREFIX.F.runs     per call of function F the number of its path
 * Paths are told apart by 128 bits of hash. A flushed translation gives passages and paths a second number.
 * Distributions ship no header for this interface, so the few entry points are declared here. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned int, void *), int, void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { MAX_FUNCTIONS = 4, NO_REGISTERS = 0, MAX_PASSAGES = 1 << 16, NAME_BYTES = 256 };
#define NOWHERE UINT32_MAX

struct function {
    uint32_t entry, low, high;
    FILE *runs;
};

/* A passage through a block; those of one block are in a list, the one taken last in front. */
struct passage {
    uint32_t before, after, number;
    struct passage *next;
};

/* A translation block: lives as long as the translation, that is as the process. */
struct block {
    uint32_t first, last;
    int enters, caller; /* the function whose entry it is, in whose caller it lies; or -1 */
    struct passage *passages;
};

struct path {
    uint64_t hash[2];
    uint32_t number_plus_1; /* 0: free */
};

static struct function functions[MAX_FUNCTIONS];
static uint32_t n_functions;
static FILE *passages_out, *paths_out;
static int armed = -1;  /* the function in whose caller the last block lies */
static int active = -1; /* the function that is being traced */
static struct block *current;
static uint32_t before_current;
static uint32_t counts[MAX_PASSAGES], taken[MAX_PASSAGES]; /* of the call so far: how often, and which at all */
static uint32_t n_passages, n_taken;
static struct path *paths; /* open addressing; the size is a power of two */
static size_t paths_size = 1U << 16;
static uint32_t n_paths;
static bool failed;

static void fail(const char *text)
{
    if (!failed) {
        fprintf(stderr, "trace: %s\n", text);
    }
    failed = true;
}

static void put(FILE *out, const uint32_t *words, size_t n)
{
    if (fwrite(words, sizeof *words, n, out) != n) {
        fail("a file cannot be written");
    }
}

static uint64_t mixed(uint64_t x) /* the finaliser of SplitMix64 */
{
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static uint32_t passage_to(struct block *block, uint32_t before, uint32_t after)
{
    struct passage **at = &block->passages;
    for (; *at != NULL; at = &(*at)->next) {
        if ((*at)->before == before && (*at)->after == after) {
            struct passage *found = *at;
            *at = found->next;
            found->next = block->passages;
            block->passages = found;
            return found->number;
        }
    }
    struct passage *made = malloc(sizeof *made);
    if (made == NULL || n_passages == MAX_PASSAGES) {
        free(made);
        fail("too many passages");
        return 0;
    }
    *made = (struct passage){before, after, n_passages, block->passages};
    block->passages = made;
    put(passages_out, (const uint32_t[]){before, block->first, block->last, after}, 4);
    return n_passages++;
}

static void leave_current(uint32_t after)
{
    const uint32_t number = passage_to(current, before_current, after);
    if (counts[number]++ == 0) {
        taken[n_taken++] = number;
    }
}

static struct path *place_of(struct path *table, size_t size, const uint64_t hash[2])
{
    size_t at = hash[0] & (size - 1);
    while (table[at].number_plus_1 != 0 && (table[at].hash[0] != hash[0] || table[at].hash[1] != hash[1])) {
        at = (at + 1) & (size - 1);
    }
    return &table[at];
}

static void grow_paths(void)
{
    struct path *larger = calloc(2 * paths_size, sizeof *larger);
    if (larger == NULL) {
        fail("out of memory");
        return;
    }
    for (size_t i = 0; i < paths_size; i++) {
        if (paths[i].number_plus_1 != 0) {
            *place_of(larger, 2 * paths_size, paths[i].hash) = paths[i];
        }
    }
    free(paths);
    paths = larger;
    paths_size *= 2;
}

/* The number of the path that the counts are, which begin anew. */
static uint32_t finish_path(void)
{
    uint64_t hash[2] = {0, 0};
    for (uint32_t i = 0; i < n_taken; i++) {
        const uint64_t pair = ((uint64_t)taken[i] << 32) | counts[taken[i]];
        hash[0] += mixed(pair);
        hash[1] += mixed(pair + UINT64_C(0x9E3779B97F4A7C15));
    }
    struct path *place = place_of(paths, paths_size, hash);
    if (place->number_plus_1 == 0) {
        *place = (struct path){{hash[0], hash[1]}, ++n_paths};
        put(paths_out, &n_taken, 1);
        for (uint32_t i = 0; i < n_taken; i++) {
            put(paths_out, (const uint32_t[]){taken[i], counts[taken[i]]}, 2);
        }
    }
    const uint32_t number = place->number_plus_1 - 1;
    for (uint32_t i = 0; i < n_taken; i++) {
        counts[taken[i]] = 0;
    }
    n_taken = 0;
    if (2 * (size_t)n_paths > paths_size) {
        grow_paths();
    }
    return number;
}

static void execute(unsigned int cpu, void *data)
{
    struct block *block = data;
    (void)cpu;
    if (active >= 0) {
        if (block->caller == active) {
            leave_current(NOWHERE);
            const uint32_t number = finish_path();
            put(functions[active].runs, &number, 1);
            active = -1;
        } else {
            leave_current(block->first);
            before_current = current->last;
            current = block;
            return;
        }
    }
    if (block->caller >= 0) {
        armed = block->caller;
    } else if (armed >= 0) {
        if (block->enters == armed) {
            active = armed;
            before_current = NOWHERE;
            current = block;
        }
        armed = -1;
    }
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *translation)
{
    const size_t n = qemu_plugin_tb_n_insns(translation);
    struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(translation, n - 1);
    struct block *block = malloc(sizeof *block);
    (void)id;
    if (block == NULL) {
        fail("out of memory");
        return;
    }
    block->first = (uint32_t)qemu_plugin_tb_vaddr(translation);
    block->last = (uint32_t)qemu_plugin_insn_vaddr(last);
    block->enters = block->caller = -1;
    block->passages = NULL;
    for (uint32_t f = 0; f < n_functions; f++) {
        if (block->first == functions[f].entry) {
            block->enters = (int)f;
        } else if (block->first >= functions[f].low && block->first < functions[f].high) {
            block->caller = (int)f;
        }
    }
    qemu_plugin_register_vcpu_tb_exec_cb(translation, execute, NO_REGISTERS, block);
}

static void at_exit(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    for (uint32_t f = 0; f < n_functions; f++) {
        if (fclose(functions[f].runs) != 0) {
            fail("a file cannot be written");
        }
    }
    if (fclose(passages_out) != 0 || fclose(paths_out) != 0) {
        fail("a file cannot be written");
    }
    if (failed) {
        _Exit(97);
    }
}

static FILE *opened(const char *prefix, const char *name)
{
    char path[NAME_BYTES];
    FILE *out = NULL;
    if (prefix != NULL && snprintf(path, sizeof path, "%s.%s", prefix, name) < (int)sizeof path) {
        out = fopen(path, "wb");
    }
    if (out == NULL) {
        fail("the output cannot be opened");
    }
    return out;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                                                               char **argv)
{
    const char *prefix = NULL;
    (void)info;
    for (int i = 0; i < argc; i++) {
        struct function *f = &functions[n_functions];
        if (strncmp(argv[i], "out=", 4) == 0) {
            prefix = argv[i] + 4;
        } else if (n_functions < MAX_FUNCTIONS &&
                   sscanf(argv[i], "f=%" SCNx32 ":%" SCNx32 ":%" SCNx32, &f->entry, &f->low, &f->high) == 3) {
            n_functions++;
        } else {
            fail("an argument is not understood");
            return 1;
        }
    }
    passages_out = opened(prefix, "passages");
    paths_out = opened(prefix, "paths");
    for (uint32_t f = 0; f < n_functions; f++) {
        char name[NAME_BYTES];
        (void)snprintf(name, sizeof name, "%" PRIu32 ".runs", f);
        functions[f].runs = opened(prefix, name);
    }
    paths = calloc(paths_size, sizeof *paths);
    if (paths == NULL || failed) {
        fail("out of memory");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}

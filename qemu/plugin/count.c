/* QEMU plugin (API version 1): executed instructions, exactly, of each call of some functions.
 *
 * Arguments: out=PREFIX, then per function f=ENTRY:LO:HI in hexadecimal. ENTRY is the function's first instruction,
 * [LO, HI) the code of its only caller that counts. A call lasts from ENTRY, reached directly from the caller,
 * until control is back in the caller. Counts go to PREFIX.0, PREFIX.1, ... as 64-bit words of the host.
 *
 * Directly means in the next block: a batch function that calls ENTRY, too, is not the caller.
 *
 * Whole translation blocks are counted, which is exact as every block runs to its end: each branch ends one, and a
 * fault ends the run. Predicated instructions that do nothing count as executed, as they do in hardware.
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
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned int, void *), int, void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { MAX_FUNCTIONS = 4, INLINE_ADD = 0, NO_REGISTERS = 0 };

struct function {
    uint64_t entry, low, high;
    FILE *out;
};

/* An instruction that needs a callback; `rest` instructions of its block are not executed yet, but already counted. */
struct place {
    uint32_t function;
    uint64_t rest;
};

static struct function functions[MAX_FUNCTIONS];
static uint32_t n_functions;
static uint64_t executed;
static uint64_t blocks; /* that were begun */
static int armed = -1;  /* the function whose caller is executing, or was last */
static uint64_t armed_in; /* the block in which that was */
static int active = -1; /* the function that is being counted */
static uint64_t began;
static bool failed;

static void fail(const char *text)
{
    fprintf(stderr, "count: %s\n", text);
    failed = true;
}

static void at_entry(unsigned int cpu, void *data)
{
    const struct place *place = data;
    (void)cpu;
    if (active < 0 && armed == (int)place->function && blocks == armed_in + 1) {
        active = armed;
        armed = -1;
        began = executed - place->rest;
    }
}

static void in_caller(unsigned int cpu, void *data)
{
    const struct place *place = data;
    (void)cpu;
    if (active == (int)place->function) {
        const uint64_t count = executed - place->rest - began;
        active = -1;
        if (fwrite(&count, sizeof count, 1, functions[place->function].out) != 1) {
            fail("a count cannot be written");
        }
    }
    armed = (int)place->function;
    armed_in = blocks;
}

static void watch(struct qemu_plugin_insn *instruction, void (*callback)(unsigned int, void *), uint32_t function,
                  uint64_t rest)
{
    struct place *place = malloc(sizeof *place); /* lives as long as the translation, that is as the process */
    if (place == NULL) {
        fail("out of memory");
        return;
    }
    place->function = function;
    place->rest = rest;
    qemu_plugin_register_vcpu_insn_exec_cb(instruction, callback, NO_REGISTERS, place);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    const size_t n = qemu_plugin_tb_n_insns(block);
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &executed, n);
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &blocks, 1);
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        const uint64_t address = qemu_plugin_insn_vaddr(instruction);
        for (uint32_t f = 0; f < n_functions; f++) {
            if (address == functions[f].entry) {
                watch(instruction, at_entry, f, n - i);
            } else if (address >= functions[f].low && address < functions[f].high) {
                watch(instruction, in_caller, f, n - i);
            }
        }
    }
}

static void at_exit(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    for (uint32_t f = 0; f < n_functions; f++) {
        if (fclose(functions[f].out) != 0) {
            fail("a count cannot be written");
        }
    }
    if (failed) {
        _Exit(97);
    }
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
                   sscanf(argv[i], "f=%" SCNx64 ":%" SCNx64 ":%" SCNx64, &f->entry, &f->low, &f->high) == 3) {
            n_functions++;
        } else {
            fail("an argument is not understood");
            return 1;
        }
    }
    for (uint32_t f = 0; f < n_functions; f++) {
        char name[256];
        if (prefix == NULL || snprintf(name, sizeof name, "%s.%" PRIu32, prefix, f) >= (int)sizeof name ||
            (functions[f].out = fopen(name, "wb")) == NULL) {
            fail("the output cannot be opened");
            return 1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}

/* Input and output of the harness by semihosting: in.bin and out.bin in the emulator's folder. */
#include "harness.h"
#include "semihost.h"

#define SYS_OPEN 0x01U
#define SYS_WRITE0 0x04U
#define SYS_WRITE 0x05U
#define SYS_READ 0x06U
#define SYS_EXIT_EXTENDED 0x20U
#define STOPPED_APPLICATION_EXIT 0x20026U
#define MODE_READ_BINARY 1U
#define MODE_WRITE_BINARY 5U

extern uint32_t apr_link_bss_end[];

static uint32_t input;  /* handle; 0 until opened, as 0 is the console's */
static uint32_t output; /* the same */

static uint32_t semihost(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void apr_semihost_text(const char *text)
{
    (void)semihost(SYS_WRITE0, text);
}

void apr_semihost_exit(int status)
{
    const uint32_t block[2] = {STOPPED_APPLICATION_EXIT, (uint32_t)status};

    (void)semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

static uint32_t open_file(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t block[3] = {(uint32_t)name, mode, length};
    const uint32_t handle = semihost(SYS_OPEN, block);

    if (handle == 0xFFFFFFFFU) {
        apr_fail("a file of the harness cannot be opened\n");
    }
    return handle;
}

uintptr_t apr_stack_low(void)
{
    return (uintptr_t)apr_link_bss_end;
}

uint32_t apr_read(void *data, uint32_t n_bytes)
{
    if (input == 0U) {
        input = open_file("in.bin", 6U, MODE_READ_BINARY);
    }
    const uint32_t block[3] = {input, (uint32_t)data, n_bytes};
    return n_bytes - semihost(SYS_READ, block);
}

void apr_write(const void *data, uint32_t n_bytes)
{
    if (output == 0U) {
        output = open_file("out.bin", 7U, MODE_WRITE_BINARY);
    }
    const uint32_t block[3] = {output, (uint32_t)data, n_bytes};
    if (semihost(SYS_WRITE, block) != 0U) {
        apr_fail("the output cannot be written\n");
    }
}

void apr_fail(const char *text)
{
    apr_semihost_text(text);
    apr_semihost_exit(98);
}

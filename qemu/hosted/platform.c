/* Input and output of the harness under an operating system: in.bin and out.bin in the current folder. */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

/* Of the 8 MiB that a Linux process has. */
#define APR_WINDOW_BYTES 0x100000U

static FILE *input;
static FILE *output;

uintptr_t apr_stack_low(void)
{
    volatile uint32_t here = 0U;

    return ((uintptr_t)&here - APR_WINDOW_BYTES) & ~(uintptr_t)15U;
}

uint32_t apr_read(void *data, uint32_t n_bytes)
{
    return (uint32_t)fread(data, 1U, n_bytes, input);
}

void apr_write(const void *data, uint32_t n_bytes)
{
    if (fwrite(data, 1U, n_bytes, output) != n_bytes) {
        apr_fail("the output cannot be written\n");
    }
}

void apr_fail(const char *text)
{
    (void)fputs(text, stderr);
    exit(98);
}

int main(void)
{
    input = fopen("in.bin", "rb");
    output = fopen("out.bin", "wb");
    if ((input == NULL) || (output == NULL)) {
        apr_fail("a file of the harness cannot be opened\n");
    }
    (void)apr_stream();
    if (fclose(output) != 0) {
        apr_fail("the output cannot be written\n");
    }
    return 0;
}

/* Runs the fuzzer's entry on payloads from stdin, each behind its length: where libFuzzer is not at hand. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(void)
{
    uint32_t size = 0U;
    unsigned long count = 0U;
    while (fread(&size, sizeof size, 1U, stdin) == 1U) {
        uint8_t *const data = malloc((size > 0U) ? size : 1U);
        if ((data == NULL) || (fread(data, 1U, size, stdin) != size)) {
            return 1;
        }
        (void)LLVMFuzzerTestOneInput(data, size);
        free(data);
        ++count;
    }
    (void)printf("%lu\n", count);
    return 0;
}

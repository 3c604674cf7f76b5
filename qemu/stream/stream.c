/* Reads blocks of records, runs the model on them, writes the results; at the end the stack that was found.
 * In:  blocks of {number of records, number of bytes} and the records; a block of 0 records is the last.
 * Out: per block its results, function after function; at the end two words per function from apr_stack. */
#include "harness.h"

int apr_stream(void)
{
    uint32_t head[2];

    for (;;) {
        if (apr_read(head, sizeof head) != sizeof head) {
            apr_fail("the input ends before its last block\n");
        }
        if (head[0] == 0U) {
            break;
        }
        if (head[1] > (apr_in_words * (uint32_t)sizeof(uint32_t))) {
            apr_fail("a block of the input is larger than the buffer\n");
        }
        if (apr_read(apr_in, head[1]) != head[1]) {
            apr_fail("the input ends inside a block\n");
        }
        apr_write(apr_out, apr_block(head[0]) * (uint32_t)sizeof(uint32_t));
    }
    apr_write(apr_stack, apr_n_functions * 2U * (uint32_t)sizeof(uint32_t));
    return 0;
}

/* apr_lines.h: how tables and buffers of blocks of rows lie, and what keeps compilers from rearranging their loops. */
#ifndef APR_LINES_H
#define APR_LINES_H

#include "apr_rt.h"

#define APR_LINES __attribute__((aligned(64))) /* begins where a cache line does */

/* Four bytes of any type, read or written at once. */
typedef int32_t apr_word __attribute__((may_alias, aligned(1)));

/* Four floats, read or written at once. */
typedef float apr_quad __attribute__((vector_size(16), may_alias, aligned(4)));

/* Called for each block: engines of WebAssembly compile a function anew, for speed, only between two calls of it. */
#define APR_BLOCK __attribute__((noinline))

/* Part of the loop that calls it, however long: what it gives stays in registers. */
#define APR_WITHIN __attribute__((always_inline))

/* The same place in a table, in a register of its own. A step down a tree takes three loads; a compiler that joins the
 * steps of several rows into vectors replaces them by gathers, which take longer. */
static inline size_t apr_alone(size_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

/* The same value, known here and not before: what is read by it is read in each round of a loop. A compiler that reads
 * all of it before the loop has no registers left for the sums inside. */
static inline uint32_t apr_here(uint32_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

#endif

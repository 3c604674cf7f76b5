/* stdlib.h for other people's C that aprgen takes in, on a core without a C library: there is no heap, every request
 * for memory fails. */
#ifndef APR_FREESTANDING_STDLIB_H
#define APR_FREESTANDING_STDLIB_H

#include <stddef.h>

#define malloc(n) ((void)(n), (void *)0)
#define calloc(count, n) ((void)(count), (void)(n), (void *)0)
#define free(memory) ((void)(memory))

#endif

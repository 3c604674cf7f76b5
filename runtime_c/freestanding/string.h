/* string.h for other people's C that aprgen takes in, on a core without a C library: the four routines that every
 * freestanding program must have for its compiler. */
#ifndef APR_FREESTANDING_STRING_H
#define APR_FREESTANDING_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif

/* apr_lz4.h: a block of LZ4, by the decoder that the build takes from elsewhere; it needs no memory but the stack. */
#ifndef APR_LZ4_H
#define APR_LZ4_H

#include <stddef.h>
#include <stdint.h>

/* Exactly n_out bytes from one raw block of n_stored bytes: 1, or 0 for what is no such block. */
int apr_lz4_unpack(const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out);

#endif

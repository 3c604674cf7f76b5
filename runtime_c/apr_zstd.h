/* apr_zstd.h: zstd frames, by the decoder that the build takes from elsewhere; no heap, all memory is the caller's.
 *
 * Into a buffer for all of it, or piece by piece through a window, for memory that is written in blocks. */
#ifndef APR_ZSTD_H
#define APR_ZSTD_H

#include <stddef.h>
#include <stdint.h>

/* The decoder's own memory, aligned to 8; apr_zstd_context_bytes says what it needs on this machine. */
#define APR_ZSTD_CONTEXT_BYTES 34816U

size_t apr_zstd_context_bytes(void);

/* Exactly n_out bytes from exactly one frame of n_stored bytes: 1, or 0 for what is no such frame or too little memory. */
int apr_zstd_unpack(void *memory, size_t n_memory, const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out);

/* The window that a frame needs, from its first 18 bytes or fewer: what its encoder chose and one block, but never more
 * than n_out. 0 when the bytes begin no frame of that size. */
size_t apr_zstd_window_bytes(const uint8_t *stored, size_t n_stored, size_t n_out);

/* The same bytes in pieces, each given to `take`, which says 1 to go on. What was taken before a fault was found is no
 * whole payload: use it only after 1. */
int apr_zstd_pieces(void *memory, size_t n_memory, uint8_t *window, size_t n_window, const uint8_t *stored,
                    size_t n_stored, size_t n_out, int (*take)(void *context, const uint8_t *piece, size_t n),
                    void *context);

#endif

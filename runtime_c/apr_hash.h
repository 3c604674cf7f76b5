/* apr_hash.h: perfect hashing of strings in constant memory: the slot of a hash, and whether its string is the one read.
 *
 * C99, freestanding; 32-bit words and no long products but for more than 65,536 slots. A hash is built byte by byte:
 * h = h * multiplier + byte, from 1 on. */
#ifndef APR_HASH_H
#define APR_HASH_H

#include "apr_text.h"

#define APR_NO_BYTES 1U /* the hash of no bytes */

/* A hash, mixed; its top bits are its bucket. */
static inline uint32_t apr_mixed(uint32_t hash, uint32_t mixer)
{
    return (hash ^ (hash >> 15)) * mixer;
}

/* What was mixed, moved by its bucket's displacement. */
static inline uint32_t apr_displaced(uint32_t mixed, uint32_t displacement)
{
    const uint32_t moved = mixed + (displacement << 11);
    return (moved ^ (moved >> 16)) * 0x2C1B3C6DU;
}

/* The slot of what was displaced, below n_slots <= 65,536. */
static inline uint32_t apr_slot(uint32_t displaced, uint32_t n_slots)
{
    return ((displaced >> 16) * n_slots) >> 16;
}

/* The same for any number of slots. */
static inline uint32_t apr_wide_slot(uint32_t displaced, uint32_t n_slots)
{
    return (uint32_t)(((uint64_t)displaced * n_slots) >> 32);
}

#endif

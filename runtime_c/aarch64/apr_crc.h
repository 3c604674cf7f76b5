/* CRC-32 as in zlib by the instructions of Armv8's CRC extension, eight bytes at a time. Every core of Armv8.1-A has it,
 * and of Armv8.0-A the Cortex-A32, -A35, -A53, -A57, -A72 and -A73; for another one set APR_CRC_HARDWARE to 0. */
#ifndef APR_CRC_H
#define APR_CRC_H

#include "apr_crc_table.h"

#ifndef APR_CRC_HARDWARE
#define APR_CRC_HARDWARE 1
#endif

#if APR_CRC_HARDWARE

/* CRC32X and CRC32B have this polynomial; CRC32CX and the like have another. */
static inline uint32_t apr_crc32_word(uint32_t crc, uint64_t word)
{
    uint32_t c = crc;
    __asm__(".arch_extension crc\n\tcrc32x %w0, %w0, %x1" : "+r"(c) : "r"(word));
    return c;
}

static inline uint32_t apr_crc32_byte(uint32_t crc, uint8_t byte)
{
    uint32_t c = crc;
    __asm__(".arch_extension crc\n\tcrc32b %w0, %w0, %w1" : "+r"(c) : "r"((uint32_t)byte));
    return c;
}

/* The checksum of what `crc` is the checksum of and of n more bytes; 0 is that of nothing. */
static inline uint32_t apr_crc32(uint32_t crc, const uint8_t *bytes, size_t n)
{
    uint32_t c = ~crc;
    size_t i = 0U;
    APR_LOOP(apr_crc32_words, APR_BY_ARGUMENT);
    for (; (n - i) >= 8U; i += 8U) {
        uint64_t word = 0U;
        APR_BODY(apr_crc32_words, APR_BY_ARGUMENT);
        __builtin_memcpy(&word, &bytes[i], sizeof word);
        c = apr_crc32_word(c, word);
    }
    APR_LOOP(apr_crc32_rest, APR_BY_ARGUMENT);
    for (; i < n; ++i) {
        APR_BODY(apr_crc32_rest, APR_BY_ARGUMENT);
        c = apr_crc32_byte(c, bytes[i]);
    }
    return ~c;
}

#else

static inline uint32_t apr_crc32(uint32_t crc, const uint8_t *bytes, size_t n)
{
    return apr_crc32_by_table(crc, bytes, n);
}

#endif

#endif

/* CRC-32 as in zlib by carry-less multiplication (PCLMULQDQ, which every core with AVX2 has), 64 bytes at a time. The
 * instruction CRC32 of SSE4.2 has another polynomial, Castagnoli's.
 *
 * Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009: four
 * remainders of 128 bits are folded forward, then into one, and Barrett's reduction leaves 32 bits. */
#ifndef APR_CRC_H
#define APR_CRC_H

#include "apr_crc_table.h"

#include <smmintrin.h>
#include <wmmintrin.h>

#ifndef APR_CRC_HARDWARE
#define APR_CRC_HARDWARE 1
#endif

#if APR_CRC_HARDWARE

#define APR_CRC_FOLDED 64U /* the fewest bytes that are folded */

/* The remainder times two constants, and the next 16 bytes. */
__attribute__((target("pclmul,sse4.1"))) static inline __m128i apr_crc32_fold(__m128i x, __m128i constants, __m128i next)
{
    const __m128i low = _mm_clmulepi64_si128(x, constants, 0x00);
    const __m128i high = _mm_clmulepi64_si128(x, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

__attribute__((target("pclmul,sse4.1"))) static inline __m128i apr_crc32_16(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* The inverted checksum of n bytes, a multiple of 16 and at least 64. */
__attribute__((target("pclmul,sse4.1"))) static inline uint32_t apr_crc32_folded(uint32_t c, const uint8_t *bytes,
                                                                                 size_t n)
{
    /* Reflected remainders of powers of x: 544 and 480, 160 and 96, 64; the polynomial, and 2^64 over it. */
    const __m128i by_64 = _mm_set_epi64x(0x00000001C6E41596, 0x0000000154442BD4);
    const __m128i by_16 = _mm_set_epi64x(0x00000000CCAA009E, 0x00000001751997D0);
    const __m128i by_8 = _mm_set_epi64x(0, 0x0000000163CD6124);
    const __m128i barrett = _mm_set_epi64x(0x00000001F7011641, 0x00000001DB710641);
    const __m128i low_32 = _mm_setr_epi32(-1, 0, -1, 0);
    __m128i x0 = _mm_xor_si128(apr_crc32_16(bytes), _mm_cvtsi32_si128((int)c));
    __m128i x1 = apr_crc32_16(&bytes[16]);
    __m128i x2 = apr_crc32_16(&bytes[32]);
    __m128i x3 = apr_crc32_16(&bytes[48]);
    size_t i = 64U;
    APR_LOOP(apr_crc32_by_64, APR_BY_ARGUMENT);
    for (; (n - i) >= 64U; i += 64U) {
        APR_BODY(apr_crc32_by_64, APR_BY_ARGUMENT);
        x0 = apr_crc32_fold(x0, by_64, apr_crc32_16(&bytes[i]));
        x1 = apr_crc32_fold(x1, by_64, apr_crc32_16(&bytes[i + 16U]));
        x2 = apr_crc32_fold(x2, by_64, apr_crc32_16(&bytes[i + 32U]));
        x3 = apr_crc32_fold(x3, by_64, apr_crc32_16(&bytes[i + 48U]));
    }
    x0 = apr_crc32_fold(x0, by_16, x1);
    x0 = apr_crc32_fold(x0, by_16, x2);
    x0 = apr_crc32_fold(x0, by_16, x3);
    APR_LOOP(apr_crc32_by_16, APR_BY_ARGUMENT);
    for (; i < n; i += 16U) {
        APR_BODY(apr_crc32_by_16, APR_BY_ARGUMENT);
        x0 = apr_crc32_fold(x0, by_16, apr_crc32_16(&bytes[i]));
    }
    /* 128 bits to 96, to 64, to 32. */
    x1 = _mm_xor_si128(_mm_srli_si128(x0, 8), _mm_clmulepi64_si128(x0, by_16, 0x10));
    x2 = _mm_clmulepi64_si128(_mm_and_si128(x1, low_32), by_8, 0x00);
    x1 = _mm_xor_si128(_mm_srli_si128(x1, 4), x2);
    x2 = _mm_clmulepi64_si128(_mm_and_si128(x1, low_32), barrett, 0x10);
    x2 = _mm_clmulepi64_si128(_mm_and_si128(x2, low_32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x1, x2), 1);
}

#endif

/* The checksum of what `crc` is the checksum of and of n more bytes; 0 is that of nothing. */
static inline uint32_t apr_crc32(uint32_t crc, const uint8_t *bytes, size_t n)
{
    uint32_t c = crc;
    size_t i = 0U;
#if APR_CRC_HARDWARE
    if (n >= APR_CRC_FOLDED) {
        i = n & ~(size_t)15U;
        c = ~apr_crc32_folded(~crc, bytes, i);
    }
#endif
    return apr_crc32_by_table(c, &bytes[i], n - i);
}

#endif

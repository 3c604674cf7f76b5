/* apr_half_bits.h: lines of bits of 256 rows, as apr_bits.h has them of 512, with AVX-512. */
#ifndef APR_HALF_BITS_H
#define APR_HALF_BITS_H

#include "apr_mark.h"
#include "apr_wide.h"

typedef __m256i apr_wide_line_256;

static inline __m256i apr_wide_line_at_256(const uint8_t *lines)
{
    return _mm256_load_si256((const __m256i *)(const void *)lines);
}

static inline void apr_wide_line_to_256(uint8_t *lines, __m256i line)
{
    _mm256_store_si256((__m256i *)(void *)lines, line);
}

static inline __m256i apr_wide_no_row_256(void)
{
    return _mm256_setzero_si256();
}

static inline __m256i apr_wide_every_row_256(void)
{
    return _mm256_set1_epi8(-1);
}

static inline void apr_wide_lines_begun_256(uint8_t *lines)
{
    apr_wide_line_to_256(&lines[0], apr_wide_no_row_256());
    apr_wide_line_to_256(&lines[32], apr_wide_no_row_256());
    apr_wide_line_to_256(&lines[64], apr_wide_every_row_256());
    apr_wide_line_to_256(&lines[96], apr_wide_no_row_256());
}

/* 32 codes, in the order of the rows. */
static inline __m256i apr_wide_of_codes_256(const uint8_t *codes)
{
    return apr_wide_line_at_256(codes);
}

/* Places of 32 rows, to 16 bits. */
static inline void apr_wide_places_to(uint16_t *y, __m256i places)
{
    _mm512_store_si512((void *)y, _mm512_cvtepu8_epi16(places));
}

static inline __m256i apr_wide_either_256(__m256i which, __m256i first, __m256i second)
{
    return _mm256_ternarylogic_epi64(which, first, second, 0xCA);
}

static inline __m256i apr_wide_met_256(const uint8_t *lines, size_t reached, size_t rest)
{
    const __m256i here = apr_wide_line_at_256(&lines[4U * reached]);
    const __m256i next = apr_wide_line_at_256(&lines[(4U * reached) + 32U]);
    return _mm256_ternarylogic_epi64(here, next, apr_wide_line_at_256(&lines[4U * rest]), 0xE8);
}

static inline void apr_wide_exchanged_1_256(__m256i *first, __m256i *second)
{
    const __m256i odd = _mm256_set1_epi8((char)0xAA);
    const __m256i low = apr_wide_either_256(odd, _mm256_add_epi8(*second, *second), *first);
    *second = apr_wide_either_256(odd, *second, _mm256_srli_epi16(*first, 1));
    *first = low;
}

static inline void apr_wide_exchanged_2_256(__m256i *first, __m256i *second)
{
    const __m256i high = _mm256_set1_epi8((char)0xCC);
    const __m256i low = apr_wide_either_256(high, _mm256_slli_epi16(*second, 2), *first);
    *second = apr_wide_either_256(high, *second, _mm256_srli_epi16(*first, 2));
    *first = low;
}

static inline void apr_wide_exchanged_4_256(__m256i *first, __m256i *second)
{
    const __m256i high = _mm256_set1_epi8((char)0xF0);
    const __m256i low = apr_wide_either_256(high, _mm256_slli_epi16(*second, 4), *first);
    *second = apr_wide_either_256(high, *second, _mm256_srli_epi16(*first, 4));
    *first = low;
}

/* Six levels: bits 6 and 7 of a place are zeros, which meet others only here. */
static inline void apr_wide_apart_2_256(__m256i *first, __m256i *second)
{
    const __m256i low = _mm256_set1_epi8(0x33);
    *second = _mm256_and_si256(_mm256_srli_epi16(*first, 2), low);
    *first = _mm256_and_si256(*first, low);
}

static inline void apr_wide_rests_256(uint8_t *lines, __m256i one, __m256i two, __m256i four)
{
    apr_wide_line_to_256(&lines[0], _mm256_ternarylogic_epi64(four, two, one, 0xFE));
    apr_wide_line_to_256(&lines[32], _mm256_or_si256(four, two));
    apr_wide_line_to_256(&lines[64], _mm256_ternarylogic_epi64(four, two, one, 0xF8));
    apr_wide_line_to_256(&lines[96], four);
    apr_wide_line_to_256(&lines[128], _mm256_ternarylogic_epi64(four, two, one, 0xE0));
    apr_wide_line_to_256(&lines[160], _mm256_and_si256(four, two));
    apr_wide_line_to_256(&lines[192], _mm256_ternarylogic_epi64(four, two, one, 0x80));
}

static inline void apr_wide_between_256(uint8_t *lines, uint32_t last, uint32_t step, __m256i bit)
{
    APR_LOOP(apr_wide_between_256, APR_BY_ARGUMENT);
    for (uint32_t i = step; i < last; i += 2U * step) {
        APR_BODY(apr_wide_between_256, APR_BY_ARGUMENT);
        const __m256i below = apr_wide_line_at_256(&lines[32U * (i - step)]);
        const __m256i above = apr_wide_line_at_256(&lines[32U * apr_wide_least(i + step, last)]);
        apr_wide_line_to_256(&lines[32U * i], _mm256_ternarylogic_epi64(above, below, bit, 0xF8));
    }
}

#endif

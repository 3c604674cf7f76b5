/* apr_bits.h: lines of bits of 512 rows, by which splits find those that go right, with AVX-512. */
#ifndef APR_BITS_H
#define APR_BITS_H

#include "apr_mark.h"
#include "apr_wide.h"

typedef __m512i apr_wide_line;

static inline apr_wide_line apr_wide_line_at(const uint8_t *lines)
{
    return _mm512_load_si512((const void *)lines);
}

static inline void apr_wide_line_to(uint8_t *lines, apr_wide_line line)
{
    _mm512_store_si512((void *)lines, line);
}

static inline apr_wide_line apr_wide_no_row(void)
{
    return _mm512_setzero_si512();
}

static inline apr_wide_line apr_wide_every_row(void)
{
    return _mm512_set1_epi8(-1);
}

/* The lines in front of those of columns, of no row but for the third one; where the others begin. */
static inline uint8_t *apr_wide_lines_begun(uint8_t *lines)
{
    apr_wide_line_to(&lines[0], apr_wide_no_row());
    apr_wide_line_to(&lines[sizeof(apr_wide_line)], apr_wide_no_row());
    apr_wide_line_to(&lines[2U * sizeof(apr_wide_line)], apr_wide_every_row());
    apr_wide_line_to(&lines[3U * sizeof(apr_wide_line)], apr_wide_no_row());
    return &lines[4U * sizeof(apr_wide_line)];
}

/* Bytes of 64 codes as they come, which is how leaves are found. */
static inline apr_wide_line apr_wide_of_codes(const uint8_t *codes)
{
    return apr_wide_line_at(codes);
}

/* Which of 512 rows a split sends right: they have reached the line behind `reached`, or that one and their rest is above:
 * two of three bits, as who has reached the one behind has reached the other. Where lines begin, in eighths of a line. */
static inline __m512i apr_wide_met(const uint8_t *lines, size_t reached, size_t rest)
{
    const __m512i here = _mm512_load_si512((const void *)&lines[8U * reached]);
    const __m512i next = _mm512_load_si512((const void *)&lines[(8U * reached) + 64U]);
    return _mm512_ternarylogic_epi64(here, next, _mm512_load_si512((const void *)&lines[8U * rest]), 0xE8);
}

/* Of two vectors, the bits of the first whose places have a 1 at `shift` change places with those of the second that stand
 * `shift` below. apart: the second is zeros. */
static inline void apr_wide_exchanged_1(__m512i *first, __m512i *second)
{
    const __m512i odd = _mm512_set1_epi8((char)0xAA);
    const __m512i low = apr_wide_either(odd, _mm512_add_epi8(*second, *second), *first);
    *second = apr_wide_either(odd, *second, _mm512_srli_epi16(*first, 1));
    *first = low;
}

static inline void apr_wide_exchanged_2(__m512i *first, __m512i *second)
{
    const __m512i high = _mm512_set1_epi8((char)0xCC);
    const __m512i low = apr_wide_either(high, _mm512_slli_epi16(*second, 2), *first);
    *second = apr_wide_either(high, *second, _mm512_srli_epi16(*first, 2));
    *first = low;
}

static inline void apr_wide_exchanged_4(__m512i *first, __m512i *second)
{
    const __m512i high = _mm512_set1_epi8((char)0xF0);
    const __m512i low = apr_wide_either(high, _mm512_slli_epi16(*second, 4), *first);
    *second = apr_wide_either(high, *second, _mm512_srli_epi16(*first, 4));
    *first = low;
}

static inline void apr_wide_apart_1(__m512i *first, __m512i *second)
{
    const __m512i even = _mm512_set1_epi8(0x55);
    *second = _mm512_and_si512(_mm512_srli_epi16(*first, 1), even);
    *first = _mm512_and_si512(*first, even);
}

static inline void apr_wide_apart_2(__m512i *first, __m512i *second)
{
    const __m512i low = _mm512_set1_epi8(0x33);
    *second = _mm512_and_si512(_mm512_srli_epi16(*first, 2), low);
    *first = _mm512_and_si512(*first, low);
}

static inline void apr_wide_apart_4(__m512i *first, __m512i *second)
{
    const __m512i low = _mm512_set1_epi8(0x0F);
    *second = _mm512_and_si512(_mm512_srli_epi16(*first, 4), low);
    *first = _mm512_and_si512(*first, low);
}

/* Lines of 512 codes, bit by bit, whose lowest three bits are given: whether the rest by 8 is above 0, 1, ... 6. */
static inline void apr_wide_rests(uint8_t *lines, __m512i one, __m512i two, __m512i four)
{
    _mm512_store_si512((void *)&lines[0], _mm512_ternarylogic_epi64(four, two, one, 0xFE));
    _mm512_store_si512((void *)&lines[64], _mm512_or_si512(four, two));
    _mm512_store_si512((void *)&lines[128], _mm512_ternarylogic_epi64(four, two, one, 0xF8));
    _mm512_store_si512((void *)&lines[192], four);
    _mm512_store_si512((void *)&lines[256], _mm512_ternarylogic_epi64(four, two, one, 0xE0));
    _mm512_store_si512((void *)&lines[320], _mm512_and_si512(four, two));
    _mm512_store_si512((void *)&lines[384], _mm512_ternarylogic_epi64(four, two, one, 0x80));
}

/* Lines of whether codes have reached multiples of a number, between those that tell of its double: `bit` says which codes
 * have passed half of the way. The last line is zeros, and so are those that would stand behind. */
static inline void apr_wide_between(uint8_t *lines, uint32_t last, uint32_t step, __m512i bit)
{
    APR_LOOP(apr_wide_between, APR_BY_ARGUMENT);
    for (uint32_t i = step; i < last; i += 2U * step) {
        APR_BODY(apr_wide_between, APR_BY_ARGUMENT);
        const __m512i below = _mm512_load_si512((const void *)&lines[64U * (i - step)]);
        const __m512i above = _mm512_load_si512((const void *)&lines[64U * apr_wide_least(i + step, last)]);
        _mm512_store_si512((void *)&lines[64U * i], _mm512_ternarylogic_epi64(above, below, bit, 0xF8));
    }
}

#endif

/* apr_lookup.h: functions of codes from tables of 256, for blocks of rows, 32 at once, with AVX2. */
#ifndef APR_LOOKUP_H
#define APR_LOOKUP_H

#include "apr_lines.h"

#include <immintrin.h>

/* Of four rows of a table the entries at the low halves of bytes; the signs of others choose the rows. */
static inline __m256i apr_look_up_four(const __m256i rows[4], __m256i low, __m256i by_1, __m256i by_2)
{
    const __m256i first = _mm256_blendv_epi8(
        _mm256_shuffle_epi8(rows[0], low), _mm256_shuffle_epi8(rows[1], low), by_1);
    const __m256i last = _mm256_blendv_epi8(
        _mm256_shuffle_epi8(rows[2], low), _mm256_shuffle_epi8(rows[3], low), by_1);
    return _mm256_blendv_epi8(first, last, by_2);
}

/* Of 16 rows the entries at all places of a table: the upper half of a byte is the row. */
static inline __m256i apr_look_up_bytes(const __m256i rows[16], __m256i place)
{
    const __m256i low = _mm256_and_si256(place, _mm256_set1_epi8(15));
    const __m256i by_1 = _mm256_slli_epi16(place, 3);
    const __m256i by_2 = _mm256_slli_epi16(place, 2);
    const __m256i by_4 = _mm256_slli_epi16(place, 1);
    const __m256i first = apr_look_up_four(rows, low, by_1, by_2);
    const __m256i second = apr_look_up_four(&rows[4], low, by_1, by_2);
    const __m256i third = apr_look_up_four(&rows[8], low, by_1, by_2);
    const __m256i fourth = apr_look_up_four(&rows[12], low, by_1, by_2);
    const __m256i lower = _mm256_blendv_epi8(first, second, by_4);
    return _mm256_blendv_epi8(lower, _mm256_blendv_epi8(third, fourth, by_4), place);
}

/* Codes of 8 bits in 16, and so are those of the table, which begins where a line does. */
static inline void apr_look_up_i16(const int16_t table[256], const int16_t *x, uint32_t n, int16_t *y)
{
    __m256i rows[16];
    uint32_t i = 0U;
    APR_LOOP(apr_look_up_i16_table, 16U);
    for (uint32_t row = 0U; row < 16U; ++row) {
        APR_BODY(apr_look_up_i16_table, 16U);
        const __m128i *const own = (const __m128i *)(const void *)&table[16U * row];
        rows[row] = _mm256_broadcastsi128_si256(_mm_packs_epi16(_mm_load_si128(own), _mm_load_si128(&own[1])));
    }
    APR_LOOP(apr_look_up_i16_whole, APR_IF_CONSTANT(n / 32U));
    for (; (n - i) >= 32U; i += 32U) {
        APR_BODY(apr_look_up_i16_whole, APR_IF_CONSTANT(n / 32U));
        const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)&x[i]);
        const __m256i last = _mm256_loadu_si256((const __m256i *)(const void *)&x[i + 16U]);
        const __m256i codes = _mm256_packs_epi16(first, last); /* half of one, half of the other, twice */
        const __m256i found = apr_look_up_bytes(rows, _mm256_xor_si256(codes, _mm256_set1_epi8((char)-128)));
        const __m256i sign = _mm256_cmpgt_epi8(_mm256_setzero_si256(), found);
        _mm256_storeu_si256((__m256i *)(void *)&y[i], _mm256_unpacklo_epi8(found, sign));
        _mm256_storeu_si256((__m256i *)(void *)&y[i + 16U], _mm256_unpackhi_epi8(found, sign));
    }
    APR_LOOP(apr_look_up_i16_rest, APR_IF_CONSTANT(n % 32U));
    for (; i < n; ++i) {
        APR_BODY(apr_look_up_i16_rest, APR_IF_CONSTANT(n % 32U));
        y[i] = table[(int32_t)x[i] + 128];
    }
}

#endif

/* apr_dots.h: products of codes that are added up in vectors of 16 sums, with AVX-512 (F, BW). */
#ifndef APR_DOTS_H
#define APR_DOTS_H

#include "apr_lines.h"

#include <immintrin.h>

typedef int32_t apr_sums __attribute__((vector_size(64))); /* no __m512i: gcc would keep each sum twice, once as 64 bits */
typedef __m512i apr_codes;

/* Two codes for each sum. */
static inline apr_codes apr_codes_i16_all(const int16_t *x)
{
    return _mm512_set1_epi32(*(const apr_word *)(const void *)x);
}

/* No pair of products leaves 32 bits: weights are above -2^15. */
static inline apr_sums apr_sums_add_i16(apr_sums sums, apr_codes x, apr_codes weights)
{
    return (apr_sums)_mm512_add_epi32((__m512i)sums, _mm512_madd_epi16(x, weights));
}

/* Squares of differences; of codes of 8 bits, so that none leaves 16. */
static inline apr_sums apr_sums_add_square_i16(apr_sums sums, apr_codes x, apr_codes points)
{
    const __m512i apart = _mm512_sub_epi16(x, points);
    return (apr_sums)_mm512_add_epi32((__m512i)sums, _mm512_madd_epi16(apart, apart));
}

#endif

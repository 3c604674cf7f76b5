/* apr_dots.h: products of codes that are added up in vectors of 16 sums, with AVX-512 VNNI. */
#ifndef APR_DOTS_H
#define APR_DOTS_H

#include "apr_lines.h"

#include <immintrin.h>

typedef int32_t apr_sums __attribute__((vector_size(64))); /* no __m512i: gcc would keep each sum twice, once as 64 bits */
typedef __m512i apr_codes;

/* Four codes for each sum. */
static inline apr_codes apr_codes_u8_all(const uint8_t *x)
{
    return _mm512_set1_epi32(*(const apr_word *)(const void *)x);
}

/* Two codes for each sum. */
static inline apr_codes apr_codes_i16_all(const int16_t *x)
{
    return _mm512_set1_epi32(*(const apr_word *)(const void *)x);
}

/* Codes without a sign, weights with one. Products take 17 bits and are not cut on the way. */
static inline apr_sums apr_sums_add_u8(apr_sums sums, apr_codes x, apr_codes weights)
{
    return (apr_sums)_mm512_dpbusd_epi32((__m512i)sums, x, weights);
}

/* The same of codes that lie beside each other. */
static inline apr_sums apr_columns_add_u8(apr_sums sums, apr_codes x, apr_codes weights)
{
    return apr_sums_add_u8(sums, x, weights);
}

static inline apr_sums apr_sums_add_i16(apr_sums sums, apr_codes x, apr_codes weights)
{
    return (apr_sums)_mm512_dpwssd_epi32((__m512i)sums, x, weights);
}

/* Squares of differences; of codes of 8 bits, so that none leaves 16. */
static inline apr_sums apr_sums_add_square_i16(apr_sums sums, apr_codes x, apr_codes points)
{
    const __m512i apart = _mm512_sub_epi16(x, points);
    return (apr_sums)_mm512_dpwssd_epi32((__m512i)sums, apart, apart);
}

#endif

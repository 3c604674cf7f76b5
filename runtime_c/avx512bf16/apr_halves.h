/* apr_halves.h: sums of products of bfloat16, the upper halves of floats, with AVX-512 BF16.
 *
 * Products are added in pairs, the second of a pair first, with one rounding each; subnormal numbers are zero. */
#ifndef APR_HALVES_H
#define APR_HALVES_H

#include "apr_floats.h"

typedef __m512i apr_halves;

/* The same value, of which the compiler does not know that it is: what is loaded by it in a loop is not kept in
 * registers around the loop, where sums need them. */
static inline uint32_t apr_halves_again(uint32_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

/* Of a table that begins where a line does. */
static inline apr_halves apr_halves_load(const uint16_t *x)
{
    return _mm512_load_si512((const void *)x);
}

/* A pair of columns of a row, for all outputs. */
static inline apr_halves apr_halves_pair(const uint16_t *x)
{
    int32_t pair;
    __builtin_memcpy(&pair, x, sizeof pair);
    return _mm512_set1_epi32(pair);
}

static inline apr_floats apr_halves_add_products(apr_floats sum, apr_halves x, apr_halves weight)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)weight);
}

/* Rounded to nearest, ties to even. */
static inline void apr_halves_store(uint16_t *y, apr_floats values)
{
    _mm256_storeu_si256((__m256i *)(void *)y, (__m256i)_mm512_cvtneps_pbh(values));
}

/* The first n of them; n is 1 to 16. */
static inline void apr_halves_store_first(uint16_t *y, uint32_t n, apr_floats values)
{
    _mm256_mask_storeu_epi16(y, (__mmask16)(0xFFFFU >> (16U - n)), (__m256i)_mm512_cvtneps_pbh(values));
}

/* 16 floats, wherever they begin. */
static inline apr_floats apr_halves_floats(const float *x)
{
    return _mm512_loadu_ps(x);
}

/* The first n of them, 1 to 15, and zeros. */
static inline apr_floats apr_halves_floats_first(const float *x, uint32_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)(0xFFFFU >> (16U - n)), x);
}

#endif

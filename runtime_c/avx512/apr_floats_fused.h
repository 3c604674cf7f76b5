/* apr_floats_fused.h: products that are added with one rounding for both, and totals of vectors, with AVX-512. */
#ifndef APR_FLOATS_FUSED_H
#define APR_FLOATS_FUSED_H

#include "apr_floats.h"

static inline apr_floats apr_floats_add_product_fused(apr_floats sum, apr_floats x, apr_floats weight)
{
    return _mm512_fmadd_ps(x, weight, sum);
}

/* The difference is rounded before. */
static inline apr_floats apr_floats_add_square_fused(apr_floats sum, apr_floats x, apr_floats point)
{
    const apr_floats d = _mm512_sub_ps(x, point);
    return _mm512_fmadd_ps(d, d, sum);
}

/* Wherever they begin. */
static inline apr_floats apr_floats_load_any(const float *x)
{
    return _mm512_loadu_ps(x);
}

/* The first n of them, 1 to 15, and zeros. */
static inline apr_floats apr_floats_load_first(const float *x, uint32_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)(0xFFFFU >> (16U - n)), x);
}

/* In each quarter the totals of the quarters of a, b, c and d: (0 + 2) + (1 + 3). */
static inline apr_floats apr_floats_totals_of_four(apr_floats a, apr_floats b, apr_floats c, apr_floats d)
{
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512 even = _mm512_shuffle_ps(ab, cd, 0x44);
    const __m512 odd = _mm512_shuffle_ps(ab, cd, 0xEE);
    return _mm512_add_ps(even, odd);
}

/* The totals of 16 vectors, from those of their quarters, four vectors in each of v: (0 + 1) + (2 + 3). */
static inline apr_floats apr_floats_totals(const apr_floats v[4])
{
    const __m512 low = _mm512_add_ps(_mm512_shuffle_f32x4(v[0], v[1], 0x88), _mm512_shuffle_f32x4(v[0], v[1], 0xDD));
    const __m512 high = _mm512_add_ps(_mm512_shuffle_f32x4(v[2], v[3], 0x88), _mm512_shuffle_f32x4(v[2], v[3], 0xDD));
    return _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xDD));
}

/* The same total of one vector. */
static inline float apr_floats_total(apr_floats v)
{
    const __m512 halves = _mm512_add_ps(v, _mm512_permute_ps(v, 0x4E));
    const __m512 quarters = _mm512_add_ps(halves, _mm512_permute_ps(halves, 0xB1));
    const __m512 pairs = _mm512_add_ps(quarters, _mm512_shuffle_f32x4(quarters, quarters, 0xB1));
    return _mm512_cvtss_f32(_mm512_add_ps(pairs, _mm512_shuffle_f32x4(pairs, pairs, 0x4E)));
}

#endif

/* apr_floats_fused.h: products that are added with one rounding for both, and totals of vectors, with AVX2 and FMA3. */
#ifndef APR_FLOATS_FUSED_H
#define APR_FLOATS_FUSED_H

#include "apr_floats.h"

static inline apr_floats apr_floats_add_product_fused(apr_floats sum, apr_floats x, apr_floats weight)
{
    return _mm256_fmadd_ps(x, weight, sum);
}

/* The difference is rounded before. */
static inline apr_floats apr_floats_add_square_fused(apr_floats sum, apr_floats x, apr_floats point)
{
    const apr_floats d = _mm256_sub_ps(x, point);
    return _mm256_fmadd_ps(d, d, sum);
}

/* Wherever they begin. */
static inline apr_floats apr_floats_load_any(const float *x)
{
    return _mm256_loadu_ps(x);
}

/* The first n of them, 1 to 7, and zeros. */
static inline apr_floats apr_floats_load_first(const float *x, uint32_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(x, _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), lane));
}

/* In each half the totals of the halves of a, b, c and d: (0 + 2) + (1 + 3). */
static inline apr_floats apr_floats_totals_of_four(apr_floats a, apr_floats b, apr_floats c, apr_floats d)
{
    const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    const __m256 even = _mm256_shuffle_ps(ab, cd, 0x44);
    const __m256 odd = _mm256_shuffle_ps(ab, cd, 0xEE);
    return _mm256_add_ps(even, odd);
}

/* The totals of 8 vectors, from those of their halves, four vectors in each of v. */
static inline apr_floats apr_floats_totals(const apr_floats v[2])
{
    return _mm256_add_ps(_mm256_permute2f128_ps(v[0], v[1], 0x20), _mm256_permute2f128_ps(v[0], v[1], 0x31));
}

/* The same total of one vector. */
static inline float apr_floats_total(apr_floats v)
{
    const __m256 pairs = _mm256_add_ps(v, _mm256_permute_ps(v, 0x4E));
    const __m256 halves = _mm256_add_ps(pairs, _mm256_permute_ps(pairs, 0xB1));
    return _mm_cvtss_f32(_mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
}

#endif

/* apr_floats.h: vectors of floats for blocks of rows, with AVX2. Every operation rounds once. */
#ifndef APR_FLOATS_H
#define APR_FLOATS_H

#include "apr_lines.h"

#include <immintrin.h>

typedef __m256 apr_floats;
typedef __m256i apr_places;

static inline apr_floats apr_floats_all(float value)
{
    return _mm256_set1_ps(value);
}

/* Of a table or buffer that begins where a line does. */
static inline apr_floats apr_floats_load(const float *x)
{
    return _mm256_load_ps(x);
}

/* Those that stand there, wherever that is. */
static inline apr_floats apr_floats_at(const float *x)
{
    return _mm256_loadu_ps(x);
}

static inline void apr_floats_store(float *y, apr_floats values)
{
    _mm256_storeu_ps(y, values);
}

/* The first n of four; n is 1 to 4. A store under a mask takes a Zen 4 core six cycles, of eight floats twelve. */
static inline void apr_floats_store_some(float *y, uint32_t n, __m128 four)
{
    if (n == 4U) {
        _mm_storeu_ps(y, four);
    } else if (n == 1U) {
        _mm_store_ss(y, four);
    } else {
        _mm_storel_epi64((__m128i *)(void *)y, _mm_castps_si128(four));
        if (n == 3U) {
            _mm_store_ss(&y[2], _mm_movehl_ps(four, four));
        }
    }
}

/* The first n of them; n is 1 to 8. */
static inline void apr_floats_store_first(float *y, uint32_t n, apr_floats values)
{
    apr_floats_store_some(y, (n < 4U) ? n : 4U, _mm256_castps256_ps128(values));
    if (n > 4U) {
        apr_floats_store_some(&y[4], n - 4U, _mm256_extractf128_ps(values, 1));
    }
}

static inline apr_floats apr_floats_add(apr_floats sum, apr_floats more)
{
    return _mm256_add_ps(sum, more);
}

static inline apr_floats apr_floats_add_product(apr_floats sum, apr_floats x, apr_floats weight)
{
    return _mm256_add_ps(sum, _mm256_mul_ps(x, weight));
}

static inline apr_floats apr_floats_add_square(apr_floats sum, apr_floats x, apr_floats point)
{
    const apr_floats d = _mm256_sub_ps(x, point);
    return _mm256_add_ps(sum, _mm256_mul_ps(d, d));
}

/* +0 in place of a NaN and of -0: the instruction gives its second operand then. */
static inline apr_floats apr_floats_relu(apr_floats values)
{
    return _mm256_max_ps(values, _mm256_setzero_ps());
}

/* `best` where the value is a NaN. */
static inline apr_floats apr_floats_least(apr_floats values, apr_floats best)
{
    return _mm256_min_ps(values, best);
}

static inline apr_places apr_places_all(int32_t place)
{
    return _mm256_set1_epi32(place);
}

static inline apr_places apr_places_if_below(apr_places places, int32_t place, apr_floats values, apr_floats best)
{
    const __m256i below = _mm256_castps_si256(_mm256_cmp_ps(values, best, _CMP_LT_OQ));
    return _mm256_blendv_epi8(places, _mm256_set1_epi32(place), below);
}

static inline void apr_places_store(int32_t *y, apr_places places)
{
    _mm256_storeu_si256((__m256i *)(void *)y, places);
}

/* Rows of four to columns of four in each half of the vectors, and back. */
static inline void apr_floats_turn(apr_floats v[4])
{
    const __m256 low01 = _mm256_unpacklo_ps(v[0], v[1]);
    const __m256 high01 = _mm256_unpackhi_ps(v[0], v[1]);
    const __m256 low23 = _mm256_unpacklo_ps(v[2], v[3]);
    const __m256 high23 = _mm256_unpackhi_ps(v[2], v[3]);
    v[0] = _mm256_shuffle_ps(low01, low23, 0x44);
    v[1] = _mm256_shuffle_ps(low01, low23, 0xEE);
    v[2] = _mm256_shuffle_ps(high01, high23, 0x44);
    v[3] = _mm256_shuffle_ps(high01, high23, 0xEE);
}

/* Four columns of every fourth row of 8 that are `stride` floats apart, a row in each half. */
static inline apr_floats apr_floats_fourth(const float *x, uint32_t stride)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x)), _mm_loadu_ps(&x[4U * stride]), 1);
}

/* Four columns of 8 rows. */
static inline void apr_floats_turned(const float *x, uint32_t stride, apr_floats to[4])
{
    to[0] = apr_floats_fourth(x, stride);
    to[1] = apr_floats_fourth(&x[stride], stride);
    to[2] = apr_floats_fourth(&x[2U * stride], stride);
    to[3] = apr_floats_fourth(&x[3U * stride], stride);
    apr_floats_turn(to);
}

/* The same, multiplied by the weights of their columns before they are turned. */
static inline void apr_floats_products_turned(const float *x, uint32_t stride, const float weights[4], apr_floats to[4])
{
    const __m256 w = _mm256_broadcast_ps((const __m128 *)(const void *)weights);
    to[0] = _mm256_mul_ps(apr_floats_fourth(x, stride), w);
    to[1] = _mm256_mul_ps(apr_floats_fourth(&x[stride], stride), w);
    to[2] = _mm256_mul_ps(apr_floats_fourth(&x[2U * stride], stride), w);
    to[3] = _mm256_mul_ps(apr_floats_fourth(&x[3U * stride], stride), w);
    apr_floats_turn(to);
}

/* One column of 8 rows. */
static inline apr_floats apr_floats_column(const float *x, uint32_t stride)
{
    return _mm256_setr_ps(
        x[0], x[stride], x[2U * stride], x[3U * stride], x[4U * stride], x[5U * stride], x[6U * stride],
        x[7U * stride]);
}

/* What apr_floats_fourth() would read, of n columns; n is 1 to 4. */
static inline void apr_floats_store_fourth(float *y, uint32_t stride, uint32_t n, apr_floats v)
{
    apr_floats_store_some(y, n, _mm256_castps256_ps128(v));
    apr_floats_store_some(&y[4U * stride], n, _mm256_extractf128_ps(v, 1));
}

/* n columns, 1 to 4, of 8 rows that are `stride` floats apart. */
static inline void apr_floats_store_turned(
    float *y, uint32_t stride, uint32_t n, apr_floats a, apr_floats b, apr_floats c, apr_floats d)
{
    apr_floats v[4];
    v[0] = a;
    v[1] = b;
    v[2] = c;
    v[3] = d;
    apr_floats_turn(v);
    apr_floats_store_fourth(y, stride, n, v[0]);
    apr_floats_store_fourth(&y[stride], stride, n, v[1]);
    apr_floats_store_fourth(&y[2U * stride], stride, n, v[2]);
    apr_floats_store_fourth(&y[3U * stride], stride, n, v[3]);
}

/* What is read soon: n floats behind x, wherever that is. */
static inline void apr_floats_ahead(const float *x, uint32_t n)
{
    _mm_prefetch((const char *)((uintptr_t)x + (4U * (uintptr_t)n)), _MM_HINT_T0);
}

#endif

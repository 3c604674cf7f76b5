/* apr_floats.h: vectors of floats for blocks of rows, with AVX-512 (F, DQ, VL). Every operation rounds once. */
#ifndef APR_FLOATS_H
#define APR_FLOATS_H

#include "apr_lines.h"

#include <immintrin.h>

typedef __m512 apr_floats;
typedef __m512i apr_places;

static inline apr_floats apr_floats_all(float value)
{
    return _mm512_set1_ps(value);
}

/* Of a table or buffer that begins where a line does. */
static inline apr_floats apr_floats_load(const float *x)
{
    return _mm512_load_ps(x);
}

/* Those that stand there, wherever that is. */
static inline apr_floats apr_floats_at(const float *x)
{
    return _mm512_loadu_ps(x);
}

static inline void apr_floats_store(float *y, apr_floats values)
{
    _mm512_storeu_ps(y, values);
}

/* The first n of them; n is 1 to 16. */
static inline void apr_floats_store_first(float *y, uint32_t n, apr_floats values)
{
    _mm512_mask_storeu_ps(y, (__mmask16)(0xFFFFU >> (16U - n)), values);
}

static inline apr_floats apr_floats_add(apr_floats sum, apr_floats more)
{
    return _mm512_add_ps(sum, more);
}

static inline apr_floats apr_floats_add_product(apr_floats sum, apr_floats x, apr_floats weight)
{
    return _mm512_add_ps(sum, _mm512_mul_ps(x, weight));
}

static inline apr_floats apr_floats_add_square(apr_floats sum, apr_floats x, apr_floats point)
{
    const apr_floats d = _mm512_sub_ps(x, point);
    return _mm512_add_ps(sum, _mm512_mul_ps(d, d));
}

/* +0 in place of a NaN and of -0: the instruction gives its second operand then. */
static inline apr_floats apr_floats_relu(apr_floats values)
{
    return _mm512_max_ps(values, _mm512_setzero_ps());
}

/* `best` where the value is a NaN. */
static inline apr_floats apr_floats_least(apr_floats values, apr_floats best)
{
    return _mm512_min_ps(values, best);
}

static inline apr_places apr_places_all(int32_t place)
{
    return _mm512_set1_epi32(place);
}

static inline apr_places apr_places_if_below(apr_places places, int32_t place, apr_floats values, apr_floats best)
{
    const __mmask16 below = _mm512_cmp_ps_mask(values, best, _CMP_LT_OQ);
    return _mm512_mask_mov_epi32(places, below, _mm512_set1_epi32(place));
}

static inline void apr_places_store(int32_t *y, apr_places places)
{
    _mm512_storeu_si512((void *)y, places);
}

/* Rows of four to columns of four in each quarter of the vectors, and back. */
static inline void apr_floats_turn(apr_floats v[4])
{
    const __m512 low01 = _mm512_unpacklo_ps(v[0], v[1]);
    const __m512 high01 = _mm512_unpackhi_ps(v[0], v[1]);
    const __m512 low23 = _mm512_unpacklo_ps(v[2], v[3]);
    const __m512 high23 = _mm512_unpackhi_ps(v[2], v[3]);
    v[0] = _mm512_shuffle_ps(low01, low23, 0x44);
    v[1] = _mm512_shuffle_ps(low01, low23, 0xEE);
    v[2] = _mm512_shuffle_ps(high01, high23, 0x44);
    v[3] = _mm512_shuffle_ps(high01, high23, 0xEE);
}

/* Four columns of every fourth row of 16 that are `stride` floats apart, a row in each quarter. */
static inline apr_floats apr_floats_fourth(const float *x, uint32_t stride)
{
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(x));
    v = _mm512_mask_broadcast_f32x4(v, 0x00F0U, _mm_loadu_ps(&x[4U * stride]));
    v = _mm512_mask_broadcast_f32x4(v, 0x0F00U, _mm_loadu_ps(&x[8U * stride]));
    return _mm512_mask_broadcast_f32x4(v, 0xF000U, _mm_loadu_ps(&x[12U * stride]));
}

/* Four columns of 16 rows. */
static inline void apr_floats_turned(const float *x, uint32_t stride, apr_floats to[4])
{
    to[0] = apr_floats_fourth(x, stride);
    to[1] = apr_floats_fourth(&x[stride], stride);
    to[2] = apr_floats_fourth(&x[2U * stride], stride);
    to[3] = apr_floats_fourth(&x[3U * stride], stride);
    apr_floats_turn(to);
}

/* Eight columns of a row and of the fourth row behind it, a row in each half; stride is 2 or more. The second half is
 * loaded with what lies before it, under a mask: half a vector that is put there would be one more permutation. */
static inline apr_floats apr_floats_two(const float *x, uint32_t stride)
{
    const __m512 first = _mm512_castps256_ps512(_mm256_loadu_ps(x));
    return _mm512_mask_loadu_ps(first, 0xFF00U, &x[(4U * stride) - 8U]);
}

/* The first four of eight columns of every fourth row of 16, and the last, a row in each quarter. */
static inline void apr_floats_fourths(const float *x, uint32_t stride, apr_floats *first, apr_floats *last)
{
    const __m512 low = apr_floats_two(x, stride);
    const __m512 high = apr_floats_two(&x[8U * stride], stride);
    *first = _mm512_shuffle_f32x4(low, high, 0x88);
    *last = _mm512_shuffle_f32x4(low, high, 0xDD);
}

/* Eight columns of 16 rows: half as many loads as for twice four, and fewer operations. */
static inline APR_WITHIN void apr_floats_turned_eight(const float *x, uint32_t stride, apr_floats to[8])
{
    apr_floats_fourths(x, stride, &to[0], &to[4]);
    apr_floats_fourths(&x[stride], stride, &to[1], &to[5]);
    apr_floats_fourths(&x[2U * stride], stride, &to[2], &to[6]);
    apr_floats_fourths(&x[3U * stride], stride, &to[3], &to[7]);
    apr_floats_turn(to);
    apr_floats_turn(&to[4]);
}

/* The same, multiplied by the weights of their columns before they are turned. */
static inline APR_WITHIN void apr_floats_products_turned(
    const float *x, uint32_t stride, const float weights[4], apr_floats to[4])
{
    const __m512 w = _mm512_broadcast_f32x4(_mm_loadu_ps(weights));
    to[0] = _mm512_mul_ps(apr_floats_fourth(x, stride), w);
    to[1] = _mm512_mul_ps(apr_floats_fourth(&x[stride], stride), w);
    to[2] = _mm512_mul_ps(apr_floats_fourth(&x[2U * stride], stride), w);
    to[3] = _mm512_mul_ps(apr_floats_fourth(&x[3U * stride], stride), w);
    apr_floats_turn(to);
}

static inline void apr_floats_products_fourths(
    const float *x, uint32_t stride, apr_floats weights, apr_floats *first, apr_floats *last)
{
    const __m512 low = _mm512_mul_ps(apr_floats_two(x, stride), weights);
    const __m512 high = _mm512_mul_ps(apr_floats_two(&x[8U * stride], stride), weights);
    *first = _mm512_shuffle_f32x4(low, high, 0x88);
    *last = _mm512_shuffle_f32x4(low, high, 0xDD);
}

static inline APR_WITHIN void apr_floats_products_turned_eight(
    const float *x, uint32_t stride, const float weights[8], apr_floats to[8])
{
    const __m512 w = _mm512_broadcast_f32x8(_mm256_loadu_ps(weights));
    apr_floats_products_fourths(x, stride, w, &to[0], &to[4]);
    apr_floats_products_fourths(&x[stride], stride, w, &to[1], &to[5]);
    apr_floats_products_fourths(&x[2U * stride], stride, w, &to[2], &to[6]);
    apr_floats_products_fourths(&x[3U * stride], stride, w, &to[3], &to[7]);
    apr_floats_turn(to);
    apr_floats_turn(&to[4]);
}

/* One column of 16 rows. */
static inline apr_floats apr_floats_column(const float *x, uint32_t stride)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i places = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int32_t)stride));
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xFFFFU, places, x, 4);
}

/* What apr_floats_fourth() would read, of n columns; n is 1 to 4. */
static inline void apr_floats_store_fourth(float *y, uint32_t stride, uint32_t n, apr_floats v)
{
    const __mmask8 some = (__mmask8)(0xFU >> (4U - n));
    _mm_mask_storeu_ps(y, some, _mm512_castps512_ps128(v));
    _mm_mask_storeu_ps(&y[4U * stride], some, _mm512_extractf32x4_ps(v, 1));
    _mm_mask_storeu_ps(&y[8U * stride], some, _mm512_extractf32x4_ps(v, 2));
    _mm_mask_storeu_ps(&y[12U * stride], some, _mm512_extractf32x4_ps(v, 3));
}

/* n columns, 1 to 4, of 16 rows that are `stride` floats apart. */
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

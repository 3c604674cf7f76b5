/* apr_places.h: what steps between sums of codes ask of vectors of integers beside apr_maps.h, with AVX-512 (F, BW, DQ). */
#ifndef APR_PLACES_H
#define APR_PLACES_H

#include "apr_maps.h"
#include "apr_sums.h"

/* ---- Integers of 32 bits ---------------------------------------------------------------------------------------- */

static inline apr_places apr_places_sub(apr_places a, apr_places b)
{
    return _mm512_sub_epi32(a, b);
}

/* By n below 32; 0 is shifted in. */
static inline apr_places apr_places_left(apr_places a, uint32_t n)
{
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128((int32_t)n));
}

static inline apr_places apr_places_right(apr_places a, uint32_t n)
{
    return _mm512_srl_epi32(a, _mm_cvtsi32_si128((int32_t)n));
}

/* Each by its own. */
static inline apr_places apr_places_right_each(apr_places a, apr_places n)
{
    return _mm512_srlv_epi32(a, n);
}

/* By n below 32; the sign is shifted in. */
static inline apr_places apr_places_shifted(apr_places a, uint32_t n)
{
    return _mm512_sra_epi32(a, _mm_cvtsi32_si128((int32_t)n));
}

/* Without their signs. */
static inline apr_places apr_places_size(apr_places a)
{
    return _mm512_abs_epi32(a);
}

/* Of numbers without a sign. */
static inline apr_places apr_places_least(apr_places a, apr_places b)
{
    return _mm512_min_epu32(a, b);
}

static inline apr_floats apr_floats_of_codes(apr_places codes)
{
    return _mm512_cvtepi32_ps(codes);
}

/* Rows of four to columns of four in each part of the vectors, and back. */
static inline void apr_places_turn(apr_places v[4])
{
    const __m512i low01 = _mm512_unpacklo_epi32(v[0], v[1]);
    const __m512i high01 = _mm512_unpackhi_epi32(v[0], v[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(v[2], v[3]);
    const __m512i high23 = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(low01, low23);
    v[1] = _mm512_unpackhi_epi64(low01, low23);
    v[2] = _mm512_unpacklo_epi64(high01, high23);
    v[3] = _mm512_unpackhi_epi64(high01, high23);
}

/* Four words of every fourth row of 16, a row in each quarter. */
static inline apr_places apr_places_fourth(const apr_word *x, uint32_t stride)
{
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)x));
    v = _mm512_mask_broadcast_i32x4(v, 0x00F0U, _mm_loadu_si128((const __m128i *)(const void *)&x[4U * stride]));
    v = _mm512_mask_broadcast_i32x4(v, 0x0F00U, _mm_loadu_si128((const __m128i *)(const void *)&x[8U * stride]));
    return _mm512_mask_broadcast_i32x4(v, 0xF000U, _mm_loadu_si128((const __m128i *)(const void *)&x[12U * stride]));
}

static inline void apr_places_store_fourth(int32_t *y, uint32_t stride, apr_places v)
{
    _mm_storeu_si128((__m128i *)(void *)y, _mm512_castsi512_si128(v));
    _mm_storeu_si128((__m128i *)(void *)&y[4U * stride], _mm512_extracti32x4_epi32(v, 1));
    _mm_storeu_si128((__m128i *)(void *)&y[8U * stride], _mm512_extracti32x4_epi32(v, 2));
    _mm_storeu_si128((__m128i *)(void *)&y[12U * stride], _mm512_extracti32x4_epi32(v, 3));
}

/* Four words of 16 rows that are `stride` words apart, of whatever type. */
static inline void apr_places_turned(const void *x, uint32_t stride, apr_places to[4])
{
    const apr_word *const own = x;
    to[0] = apr_places_fourth(own, stride);
    to[1] = apr_places_fourth(&own[stride], stride);
    to[2] = apr_places_fourth(&own[2U * stride], stride);
    to[3] = apr_places_fourth(&own[3U * stride], stride);
    apr_places_turn(to);
}

/* The same back. */
static inline void apr_places_store_turned(int32_t *y, uint32_t stride, apr_places v[4])
{
    apr_places_turn(v);
    apr_places_store_fourth(y, stride, v[0]);
    apr_places_store_fourth(&y[stride], stride, v[1]);
    apr_places_store_fourth(&y[2U * stride], stride, v[2]);
    apr_places_store_fourth(&y[3U * stride], stride, v[3]);
}

/* ---- Codes of 16 bits -------------------------------------------------------------------------------------------- */

static inline apr_places apr_places_load_i16(const int16_t *x)
{
    return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)x));
}

static inline void apr_places_store_i16(int16_t *y, apr_places codes)
{
    _mm256_storeu_si256((__m256i *)(void *)y, _mm512_cvtepi32_epi16(codes));
}

/* Squares of differences of two codes beside each other, of 8 bits, so that none leaves 16. */
static inline apr_places apr_places_add_squares(apr_places sums, apr_places x, apr_places point)
{
    return (apr_places)apr_sums_add_square_i16((apr_sums)sums, x, point);
}

/* Their sizes. */
static inline apr_places apr_places_add_sizes(apr_places sums, apr_places x, apr_places point)
{
    const __m512i apart = _mm512_abs_epi16(_mm512_sub_epi16(x, point));
    return _mm512_add_epi32(sums, _mm512_madd_epi16(apart, _mm512_set1_epi16(1)));
}

/* Two entries of a table, from each place on: the first one is low. */
static inline apr_places apr_pairs_at(const void *table, apr_places at)
{
    return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), 0xFFFFU, at, table, 2);
}

/* The products of both entries, added up. */
static inline apr_places apr_pairs_dot(apr_places pairs, apr_places weights)
{
    return _mm512_madd_epi16(pairs, weights);
}

#endif

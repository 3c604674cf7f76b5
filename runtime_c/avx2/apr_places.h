/* apr_places.h: what steps between sums of codes ask of vectors of integers beside apr_maps.h, with AVX2. */
#ifndef APR_PLACES_H
#define APR_PLACES_H

#include "apr_maps.h"
#include "apr_sums.h"
#include "apr_gather.h"

/* ---- Integers of 32 bits ---------------------------------------------------------------------------------------- */

static inline apr_places apr_places_sub(apr_places a, apr_places b)
{
    return _mm256_sub_epi32(a, b);
}

/* By n below 32; 0 is shifted in. */
static inline apr_places apr_places_left(apr_places a, uint32_t n)
{
    return _mm256_sll_epi32(a, _mm_cvtsi32_si128((int32_t)n));
}

static inline apr_places apr_places_right(apr_places a, uint32_t n)
{
    return _mm256_srl_epi32(a, _mm_cvtsi32_si128((int32_t)n));
}

/* Each by its own. */
static inline apr_places apr_places_right_each(apr_places a, apr_places n)
{
    return _mm256_srlv_epi32(a, n);
}

/* By n below 32; the sign is shifted in. */
static inline apr_places apr_places_shifted(apr_places a, uint32_t n)
{
    return _mm256_sra_epi32(a, _mm_cvtsi32_si128((int32_t)n));
}

/* Without their signs. */
static inline apr_places apr_places_size(apr_places a)
{
    return _mm256_abs_epi32(a);
}

/* Of numbers without a sign. */
static inline apr_places apr_places_least(apr_places a, apr_places b)
{
    return _mm256_min_epu32(a, b);
}

static inline apr_floats apr_floats_of_codes(apr_places codes)
{
    return _mm256_cvtepi32_ps(codes);
}

/* Rows of four to columns of four in each part of the vectors, and back. */
static inline void apr_places_turn(apr_places v[4])
{
    const __m256i low01 = _mm256_unpacklo_epi32(v[0], v[1]);
    const __m256i high01 = _mm256_unpackhi_epi32(v[0], v[1]);
    const __m256i low23 = _mm256_unpacklo_epi32(v[2], v[3]);
    const __m256i high23 = _mm256_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm256_unpacklo_epi64(low01, low23);
    v[1] = _mm256_unpackhi_epi64(low01, low23);
    v[2] = _mm256_unpacklo_epi64(high01, high23);
    v[3] = _mm256_unpackhi_epi64(high01, high23);
}

/* Four words of every fourth row of 8, a row in each half. */
static inline apr_places apr_places_fourth(const apr_word *x, uint32_t stride)
{
    const __m256i v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)x));
    return _mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(const void *)&x[4U * stride]), 1);
}

static inline void apr_places_store_fourth(int32_t *y, uint32_t stride, apr_places v)
{
    _mm_storeu_si128((__m128i *)(void *)y, _mm256_castsi256_si128(v));
    _mm_storeu_si128((__m128i *)(void *)&y[4U * stride], _mm256_extracti128_si256(v, 1));
}

/* Four words of 8 rows that are `stride` words apart, of whatever type. */
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
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)x));
}

static inline void apr_places_store_i16(int16_t *y, apr_places codes)
{
    apr_sums_store_i16(y, (apr_sums)codes);
}

/* Squares of differences of two codes beside each other, of 8 bits, so that none leaves 16. */
static inline apr_places apr_places_add_squares(apr_places sums, apr_places x, apr_places point)
{
    return (apr_places)apr_sums_add_square_i16((apr_sums)sums, x, point);
}

/* Their sizes. */
static inline apr_places apr_places_add_sizes(apr_places sums, apr_places x, apr_places point)
{
    const __m256i apart = _mm256_abs_epi16(_mm256_sub_epi16(x, point));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(apart, _mm256_set1_epi16(1)));
}

/* Two entries of a table, from each place on: the first one is low. */
static inline apr_places apr_pairs_at(const void *table, apr_places at)
{
    return apr_gathered_pairs(table, at);
}

/* The products of both entries, added up. */
static inline apr_places apr_pairs_dot(apr_places pairs, apr_places weights)
{
    return _mm256_madd_epi16(pairs, weights);
}

#endif

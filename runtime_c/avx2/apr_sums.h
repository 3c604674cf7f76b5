/* apr_sums.h: sums of codes and floats in vectors of 8 for blocks of rows, with AVX2. */
#ifndef APR_SUMS_H
#define APR_SUMS_H

#include "apr_lines.h"

#include <immintrin.h>

typedef int32_t apr_sums __attribute__((vector_size(32))); /* no __m256i: gcc would keep each sum twice, once as 64 bits */
typedef __m256i apr_codes;
typedef __m256 apr_values;

/* How sums become codes: apr_requantised() in apr_int.h. */
typedef struct {
    __m256i low;  /* multipliers, for the lower halves of sums */
    __m256i high; /* the same for the upper halves */
    __m256i half;
    __m256i shift;
} apr_scales;

/* Two codes for each sum. */
static inline apr_codes apr_codes_i16_all(const int16_t *x)
{
    return _mm256_set1_epi32(*(const apr_word *)(const void *)x);
}

/* Of a table that begins where a line does. */
static inline apr_codes apr_codes_load(const void *codes)
{
    return _mm256_load_si256((const __m256i *)codes);
}

/* No pair of products leaves 32 bits: weights are above -2^15. */
static inline apr_sums apr_sums_add_i16(apr_sums sums, apr_codes x, apr_codes weights)
{
    return (apr_sums)_mm256_add_epi32((__m256i)sums, _mm256_madd_epi16(x, weights));
}

/* Squares of differences; of codes of 8 bits, so that none leaves 16. */
static inline apr_sums apr_sums_add_square_i16(apr_sums sums, apr_codes x, apr_codes points)
{
    const __m256i apart = _mm256_sub_epi16(x, points);
    return (apr_sums)_mm256_add_epi32((__m256i)sums, _mm256_madd_epi16(apart, apart));
}

static inline apr_sums apr_sums_load(const int32_t *sums)
{
    return (apr_sums)_mm256_load_si256((const __m256i *)(const void *)sums);
}

static inline apr_sums apr_sums_all(int32_t sum)
{
    return (apr_sums)_mm256_set1_epi32(sum);
}

static inline apr_sums apr_sums_plus(apr_sums a, apr_sums b)
{
    return (apr_sums)_mm256_add_epi32((__m256i)a, (__m256i)b);
}

/* One code for all sums. */
static inline apr_codes apr_codes_i32_all(const int32_t *x)
{
    return _mm256_set1_epi32(*x);
}

/* Squares of differences of codes of 16 bits, which fit 32 without a sign; each loses its last `drop` bits. */
static inline apr_sums apr_sums_add_square_i32(apr_sums sums, apr_codes x, apr_codes points, uint32_t drop)
{
    const __m256i apart = _mm256_sub_epi32(x, points);
    const __m256i square = _mm256_mullo_epi32(apart, apart);
    return (apr_sums)_mm256_add_epi32((__m256i)sums, _mm256_srl_epi32(square, _mm_cvtsi32_si128((int32_t)drop)));
}

static inline apr_scales apr_scales_load(const int32_t *multiplier, const int32_t *shift)
{
    apr_scales scales;
    const __m256i one = _mm256_set1_epi32(1);
    scales.low = (__m256i)apr_sums_load(multiplier);
    scales.high = _mm256_slli_epi32(scales.low, 16);
    scales.shift = (__m256i)apr_sums_load(shift);
    scales.half = _mm256_sllv_epi32(one, _mm256_sub_epi32(scales.shift, one));
    return scales;
}

/* sum = high * 2^16 + low, high with a sign: floor(sum * m / 2^16) = high * m + floor(low * m / 2^16). */
static inline apr_sums apr_sums_requantised(apr_sums sums, apr_scales scales)
{
    const __m256i upper = _mm256_madd_epi16((__m256i)sums, scales.high);
    const __m256i lower = _mm256_mulhi_epu16((__m256i)sums, scales.low);
    const __m256i product = _mm256_add_epi32(_mm256_add_epi32(upper, lower), scales.half);
    return (apr_sums)_mm256_srav_epi32(product, scales.shift);
}

static inline apr_sums apr_sums_within(apr_sums sums, int32_t low, int32_t high)
{
    const __m256i above = _mm256_max_epi32((__m256i)sums, _mm256_set1_epi32(low));
    return (apr_sums)_mm256_min_epi32(above, _mm256_set1_epi32(high));
}

/* Cut to 16 bits. */
static inline __m128i apr_sums_cut(apr_sums sums)
{
    return _mm_packs_epi32(_mm256_castsi256_si128((__m256i)sums), _mm256_extracti128_si256((__m256i)sums, 1));
}

/* Cut to 8 bits. */
static inline void apr_sums_store_i8(int8_t *y, apr_sums sums)
{
    const __m128i cut = apr_sums_cut(sums);
    _mm_storel_epi64((__m128i *)(void *)y, _mm_packs_epi16(cut, cut));
}

static inline void apr_sums_store_i16(int16_t *y, apr_sums sums)
{
    _mm_storeu_si128((__m128i *)(void *)y, apr_sums_cut(sums));
}

static inline void apr_sums_store_i32(int32_t *y, apr_sums sums)
{
    _mm256_storeu_si256((__m256i *)(void *)y, (__m256i)sums);
}

/* Ones in the first n lanes, 1 to 7. */
static inline __m256i apr_sums_first(uint32_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline apr_values apr_values_all(float value)
{
    return _mm256_set1_ps(value);
}

static inline apr_values apr_values_load(const float *x)
{
    return _mm256_loadu_ps(x);
}

/* The first n, 1 to 7; zeros behind them. */
static inline apr_values apr_values_load_first(const float *x, uint32_t n)
{
    return _mm256_maskload_ps(x, apr_sums_first(n));
}

static inline void apr_values_store(float *y, apr_values values)
{
    _mm256_storeu_ps(y, values);
}

/* The first n, 1 to 7. */
static inline void apr_values_store_first(float *y, uint32_t n, apr_values values)
{
    _mm256_maskstore_ps(y, apr_sums_first(n), values);
}

static inline apr_values apr_values_plus(apr_values a, apr_values b)
{
    return _mm256_add_ps(a, b);
}

static inline apr_values apr_values_of(apr_sums codes, apr_values scale)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps((__m256i)codes), scale);
}

/* x * inverse rounded, in the bits of a float; codes begin at `low`, whose bits are `least`. A NaN counts as 0. */
static inline apr_sums apr_codes_of(apr_values x, apr_values inverse, apr_sums least, int32_t low, int32_t high)
{
    const __m256 scaled = _mm256_add_ps(_mm256_mul_ps(x, inverse), _mm256_set1_ps(12582912.0F));
    const __m256 is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    const __m256 sound = _mm256_blendv_ps(scaled, _mm256_set1_ps(12582912.0F), is_nan);
    const __m256i above = _mm256_sub_epi32(_mm256_max_epi32(_mm256_castps_si256(sound), (__m256i)least), (__m256i)least);
    const __m256i cut = _mm256_min_epu32(above, _mm256_set1_epi32(high - low));
    return (apr_sums)_mm256_add_epi32(cut, _mm256_set1_epi32(low));
}

#endif

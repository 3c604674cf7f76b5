/* apr_sums.h: sums of codes and floats in vectors of 16 for blocks of rows, with AVX-512 (F, BW). */
#ifndef APR_SUMS_H
#define APR_SUMS_H

#include "apr_dots.h"

typedef __m512 apr_values;

/* How sums become codes: apr_requantised() in apr_int.h. */
typedef struct {
    __m512i low;  /* multipliers, for the lower halves of sums */
    __m512i high; /* the same for the upper halves */
    __m512i half;
    __m512i shift;
} apr_scales;

/* Of a table that begins where a line does. */
static inline apr_codes apr_codes_load(const void *codes)
{
    return _mm512_load_si512(codes);
}

static inline apr_sums apr_sums_load(const int32_t *sums)
{
    return (apr_sums)_mm512_load_si512((const void *)sums);
}

static inline apr_sums apr_sums_all(int32_t sum)
{
    return (apr_sums)_mm512_set1_epi32(sum);
}

static inline apr_sums apr_sums_plus(apr_sums a, apr_sums b)
{
    return (apr_sums)_mm512_add_epi32((__m512i)a, (__m512i)b);
}

/* One code for all sums. */
static inline apr_codes apr_codes_i32_all(const int32_t *x)
{
    return _mm512_set1_epi32(*x);
}

/* Squares of differences of codes of 16 bits, which fit 32 without a sign; each loses its last `drop` bits. */
static inline apr_sums apr_sums_add_square_i32(apr_sums sums, apr_codes x, apr_codes points, uint32_t drop)
{
    const __m512i apart = _mm512_sub_epi32(x, points);
    const __m512i square = _mm512_mullo_epi32(apart, apart);
    return (apr_sums)_mm512_add_epi32((__m512i)sums, _mm512_srl_epi32(square, _mm_cvtsi32_si128((int32_t)drop)));
}

static inline apr_scales apr_scales_load(const int32_t *multiplier, const int32_t *shift)
{
    apr_scales scales;
    const __m512i one = _mm512_set1_epi32(1);
    scales.low = _mm512_load_si512((const void *)multiplier);
    scales.high = _mm512_slli_epi32(scales.low, 16);
    scales.shift = _mm512_load_si512((const void *)shift);
    scales.half = _mm512_sllv_epi32(one, _mm512_sub_epi32(scales.shift, one));
    return scales;
}

/* sum = high * 2^16 + low, high with a sign: floor(sum * m / 2^16) = high * m + floor(low * m / 2^16). */
static inline apr_sums apr_sums_requantised(apr_sums sums, apr_scales scales)
{
    const __m512i upper = _mm512_madd_epi16((__m512i)sums, scales.high);
    const __m512i lower = _mm512_mulhi_epu16((__m512i)sums, scales.low);
    const __m512i product = _mm512_add_epi32(_mm512_add_epi32(upper, lower), scales.half);
    return (apr_sums)_mm512_srav_epi32(product, scales.shift);
}

static inline apr_sums apr_sums_within(apr_sums sums, int32_t low, int32_t high)
{
    const __m512i above = _mm512_max_epi32((__m512i)sums, _mm512_set1_epi32(low));
    return (apr_sums)_mm512_min_epi32(above, _mm512_set1_epi32(high));
}

/* Cut to 8 bits, plus 128. */
static inline void apr_sums_store_u8(uint8_t *y, apr_sums sums)
{
    const __m128i cut = _mm512_cvtsepi32_epi8((__m512i)sums);
    _mm_storeu_si128((__m128i *)(void *)y, _mm_xor_si128(cut, _mm_set1_epi8((char)-128)));
}

/* Cut to 8 bits. */
static inline void apr_sums_store_i8(int8_t *y, apr_sums sums)
{
    _mm_storeu_si128((__m128i *)(void *)y, _mm512_cvtsepi32_epi8((__m512i)sums));
}

/* Cut to 16 bits. */
static inline void apr_sums_store_i16(int16_t *y, apr_sums sums)
{
    _mm256_storeu_si256((__m256i *)(void *)y, _mm512_cvtsepi32_epi16((__m512i)sums));
}

static inline void apr_sums_store_i32(int32_t *y, apr_sums sums)
{
    _mm512_storeu_si512((void *)y, (__m512i)sums);
}

static inline apr_values apr_values_all(float value)
{
    return _mm512_set1_ps(value);
}

static inline apr_values apr_values_load(const float *x)
{
    return _mm512_loadu_ps(x);
}

/* The first n, 1 to 15; zeros behind them. */
static inline apr_values apr_values_load_first(const float *x, uint32_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)(0xFFFFU >> (16U - n)), x);
}

static inline void apr_values_store(float *y, apr_values values)
{
    _mm512_storeu_ps(y, values);
}

/* The first n, 1 to 15. */
static inline void apr_values_store_first(float *y, uint32_t n, apr_values values)
{
    _mm512_mask_storeu_ps(y, (__mmask16)(0xFFFFU >> (16U - n)), values);
}

static inline apr_values apr_values_plus(apr_values a, apr_values b)
{
    return _mm512_add_ps(a, b);
}

static inline apr_values apr_values_of(apr_sums codes, apr_values scale)
{
    return _mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)codes), scale);
}

/* x * inverse rounded, in the bits of a float; codes begin at `low`, whose bits are `least`. A NaN counts as 0. */
static inline apr_sums apr_codes_of(apr_values x, apr_values inverse, apr_sums least, int32_t low, int32_t high)
{
    const __m512 scaled = _mm512_add_ps(_mm512_mul_ps(x, inverse), _mm512_set1_ps(12582912.0F));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i bits = _mm512_mask_mov_epi32(_mm512_castps_si512(scaled), is_nan, _mm512_set1_epi32(0x4B400000));
    const __m512i above = _mm512_sub_epi32(_mm512_max_epi32(bits, (__m512i)least), (__m512i)least);
    const __m512i cut = _mm512_min_epu32(above, _mm512_set1_epi32(high - low));
    return (apr_sums)_mm512_add_epi32(cut, _mm512_set1_epi32(low));
}

#endif

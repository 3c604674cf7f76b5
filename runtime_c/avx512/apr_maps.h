/* apr_maps.h: what steps between sums ask of vectors beside apr_floats.h, with AVX-512 (F, DQ, VL). Every operation on
 * floats rounds once. */
#ifndef APR_MAPS_H
#define APR_MAPS_H

#include "apr_floats.h"

/* ---- Floats ---------------------------------------------------------------------------------------------------- */

static inline apr_floats apr_floats_sub(apr_floats a, apr_floats b)
{
    return _mm512_sub_ps(a, b);
}

static inline apr_floats apr_floats_mul(apr_floats a, apr_floats b)
{
    return _mm512_mul_ps(a, b);
}

static inline apr_floats apr_floats_div(apr_floats a, apr_floats b)
{
    return _mm512_div_ps(a, b);
}

static inline apr_floats apr_floats_sqrt(apr_floats a)
{
    return _mm512_sqrt_ps(a);
}

/* For bounds of what it stands for: a target may round once or twice. */
static inline apr_floats apr_floats_less_product(apr_floats a, apr_floats x, apr_floats weight)
{
    return _mm512_fnmadd_ps(x, weight, a);
}

static inline apr_floats apr_floats_neg(apr_floats a)
{
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0F));
}

static inline apr_floats apr_floats_abs(apr_floats a)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0F), a);
}

/* b where one of them is a NaN. */
static inline apr_floats apr_floats_most(apr_floats a, apr_floats b)
{
    return _mm512_max_ps(a, b);
}

/* yes where a > b, which a NaN is not. */
static inline apr_floats apr_floats_if_above(apr_floats a, apr_floats b, apr_floats yes, apr_floats no)
{
    return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), yes);
}

/* yes where a is a NaN. */
static inline apr_floats apr_floats_if_nan(apr_floats a, apr_floats yes, apr_floats no)
{
    return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), yes);
}

/* A bit for each value, the first one lowest: 1 where it is not at least the limit, as a NaN is not. */
static inline uint32_t apr_floats_not_at_least(apr_floats values, apr_floats limit)
{
    return (uint32_t)_mm512_cmp_ps_mask(values, limit, _CMP_NGE_UQ);
}

/* The place of the lowest bit that is 1; there must be one. */
static inline uint32_t apr_lowest_bit(uint32_t bits)
{
    return (uint32_t)__builtin_ctz(bits);
}

/* How many bits are 1. */
static inline uint32_t apr_ones(uint64_t bits)
{
    return (uint32_t)__builtin_popcountll(bits);
}

/* ---- Places: integers of 32 bits, one for each float ------------------------------------------------------------ */

static inline apr_places apr_places_of(apr_floats bits)
{
    return _mm512_castps_si512(bits);
}

static inline apr_floats apr_floats_of(apr_places bits)
{
    return _mm512_castsi512_ps(bits);
}

static inline apr_places apr_places_load(const int32_t *x)
{
    return _mm512_loadu_si512((const void *)x);
}

static inline apr_places apr_places_add(apr_places a, apr_places b)
{
    return _mm512_add_epi32(a, b);
}

static inline apr_places apr_places_mul(apr_places a, apr_places b)
{
    return _mm512_mullo_epi32(a, b);
}

static inline apr_places apr_places_and(apr_places a, apr_places b)
{
    return _mm512_and_si512(a, b);
}

static inline apr_places apr_places_min(apr_places a, apr_places b)
{
    return _mm512_min_epi32(a, b);
}

static inline apr_places apr_places_max(apr_places a, apr_places b)
{
    return _mm512_max_epi32(a, b);
}

/* yes where a < b. */
static inline apr_places apr_places_if_less(apr_places a, apr_places b, apr_places yes, apr_places no)
{
    return _mm512_mask_mov_epi32(no, _mm512_cmplt_epi32_mask(a, b), yes);
}

/* A bit for each, the first one lowest: whether a < b. */
static inline uint32_t apr_places_less(apr_places a, apr_places b)
{
    return (uint32_t)_mm512_cmplt_epi32_mask(a, b);
}

/* With the bits of `more`, too, where a < b. */
static inline apr_places apr_places_or_if_less(apr_places bits, apr_places a, apr_places b, int32_t more)
{
    return _mm512_mask_or_epi32(bits, _mm512_cmplt_epi32_mask(a, b), bits, _mm512_set1_epi32(more));
}

/* Whether a < b anywhere. */
static inline int apr_places_any_less(apr_places a, apr_places b)
{
    return (_mm512_cmplt_epi32_mask(a, b) != 0U) ? 1 : 0;
}

/* The float at each place. */
static inline apr_floats apr_floats_from(const float *x, apr_places at)
{
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xFFFFU, at, x, 4);
}

/* `place` where the value is at least the limit, which a NaN is not. */
static inline apr_places apr_places_if_at_least(apr_places places, int32_t place, apr_floats values, apr_floats limit)
{
    return _mm512_mask_mov_epi32(places, _mm512_cmp_ps_mask(values, limit, _CMP_GE_OQ), _mm512_set1_epi32(place));
}

/* ---- Longs: integers of 64 bits, half as many ------------------------------------------------------------------- */

typedef __m512i apr_longs;

static inline apr_longs apr_longs_all(uint64_t value)
{
    return _mm512_set1_epi64((int64_t)value);
}

/* The bits of every other float, from the first or the second on. */
static inline apr_longs apr_longs_even(apr_floats v)
{
    return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi64(INT64_C(0xFFFFFFFF)));
}

static inline apr_longs apr_longs_odd(apr_floats v)
{
    return _mm512_srli_epi64(_mm512_castps_si512(v), 32);
}

static inline apr_floats apr_floats_joined(apr_longs even, apr_longs odd)
{
    return _mm512_castsi512_ps(_mm512_or_si512(even, _mm512_slli_epi64(odd, 32)));
}

static inline apr_longs apr_longs_add(apr_longs a, apr_longs b)
{
    return _mm512_add_epi64(a, b);
}

static inline apr_longs apr_longs_sub(apr_longs a, apr_longs b)
{
    return _mm512_sub_epi64(a, b);
}

static inline apr_longs apr_longs_and(apr_longs a, apr_longs b)
{
    return _mm512_and_si512(a, b);
}

static inline apr_longs apr_longs_or(apr_longs a, apr_longs b)
{
    return _mm512_or_si512(a, b);
}

static inline apr_longs apr_longs_xor(apr_longs a, apr_longs b)
{
    return _mm512_xor_si512(a, b);
}

/* Of the low halves, unsigned. */
static inline apr_longs apr_longs_mul(apr_longs a, apr_longs b)
{
    return _mm512_mul_epu32(a, b);
}

/* By the same n or each by its own; 0 is shifted in, and 64 bits or more give 0. */
static inline apr_longs apr_longs_left(apr_longs a, uint32_t n)
{
    return _mm512_sll_epi64(a, _mm_cvtsi32_si128((int32_t)n));
}

static inline apr_longs apr_longs_right(apr_longs a, uint32_t n)
{
    return _mm512_srl_epi64(a, _mm_cvtsi32_si128((int32_t)n));
}

static inline apr_longs apr_longs_left_each(apr_longs a, apr_longs n)
{
    return _mm512_sllv_epi64(a, n);
}

static inline apr_longs apr_longs_right_each(apr_longs a, apr_longs n)
{
    return _mm512_srlv_epi64(a, n);
}

/* yes where a > b, signed. */
static inline apr_longs apr_longs_if_above(apr_longs a, apr_longs b, apr_longs yes, apr_longs no)
{
    return _mm512_mask_mov_epi64(no, _mm512_cmpgt_epi64_mask(a, b), yes);
}

/* The float64 that is the integer, in [0, 2^52). */
static inline apr_longs apr_longs_as_double(apr_longs a)
{
    const __m512d high = _mm512_castsi512_pd(_mm512_or_si512(a, _mm512_set1_epi64(INT64_C(0x4330000000000000))));
    return _mm512_castpd_si512(_mm512_sub_pd(high, _mm512_set1_pd(0x1p52)));
}

#endif

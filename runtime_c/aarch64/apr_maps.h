/* apr_maps.h: what steps between sums ask of vectors beside apr_floats.h, with NEON. Every operation on floats rounds
 * once. */
#ifndef APR_MAPS_H
#define APR_MAPS_H

#include "apr_floats.h"

/* ---- Floats ---------------------------------------------------------------------------------------------------- */

static inline apr_floats apr_floats_sub(apr_floats a, apr_floats b)
{
    return vsubq_f32(a, b);
}

static inline apr_floats apr_floats_mul(apr_floats a, apr_floats b)
{
    return vmulq_f32(a, b);
}

static inline apr_floats apr_floats_div(apr_floats a, apr_floats b)
{
    return vdivq_f32(a, b);
}

static inline apr_floats apr_floats_sqrt(apr_floats a)
{
    return vsqrtq_f32(a);
}

/* For bounds of what it stands for: a target may round once or twice. */
static inline apr_floats apr_floats_less_product(apr_floats a, apr_floats x, apr_floats weight)
{
    return vfmsq_f32(a, x, weight);
}

static inline apr_floats apr_floats_neg(apr_floats a)
{
    return vnegq_f32(a);
}

static inline apr_floats apr_floats_abs(apr_floats a)
{
    return vabsq_f32(a);
}

/* b where one of them is a NaN. */
static inline apr_floats apr_floats_most(apr_floats a, apr_floats b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

/* yes where a > b, which a NaN is not. */
static inline apr_floats apr_floats_if_above(apr_floats a, apr_floats b, apr_floats yes, apr_floats no)
{
    return vbslq_f32(vcgtq_f32(a, b), yes, no);
}

/* yes where a is a NaN. */
static inline apr_floats apr_floats_if_nan(apr_floats a, apr_floats yes, apr_floats no)
{
    return vbslq_f32(vceqq_f32(a, a), no, yes);
}

/* A bit for each value, the first one lowest: 1 where it is not at least the limit, as a NaN is not. */
static inline uint32_t apr_floats_not_at_least(apr_floats values, apr_floats limit)
{
    static const uint32_t bit[4] = {1U, 2U, 4U, 8U};
    return vaddvq_u32(vbicq_u32(vld1q_u32(bit), vcgeq_f32(values, limit)));
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

/* ---- Places: integers of 32 bits, one for each float, with a sign unless it says otherwise ---------------------- */

static inline apr_places apr_places_of(apr_floats bits)
{
    return vreinterpretq_s32_f32(bits);
}

static inline apr_floats apr_floats_of(apr_places bits)
{
    return vreinterpretq_f32_s32(bits);
}

static inline apr_places apr_places_load(const int32_t *x)
{
    return vld1q_s32(x);
}

static inline apr_places apr_places_add(apr_places a, apr_places b)
{
    return vaddq_s32(a, b);
}

static inline apr_places apr_places_sub(apr_places a, apr_places b)
{
    return vsubq_s32(a, b);
}

static inline apr_places apr_places_mul(apr_places a, apr_places b)
{
    return vmulq_s32(a, b);
}

static inline apr_places apr_places_and(apr_places a, apr_places b)
{
    return vandq_s32(a, b);
}

static inline apr_places apr_places_or(apr_places a, apr_places b)
{
    return vorrq_s32(a, b);
}

static inline apr_places apr_places_xor(apr_places a, apr_places b)
{
    return veorq_s32(a, b);
}

static inline apr_places apr_places_min(apr_places a, apr_places b)
{
    return vminq_s32(a, b);
}

static inline apr_places apr_places_max(apr_places a, apr_places b)
{
    return vmaxq_s32(a, b);
}

/* By n below 32, known when it is compiled; 0 is shifted in. */
static inline apr_places apr_places_left(apr_places a, uint32_t n)
{
    return vreinterpretq_s32_u32(vreinterpretq_u32_s32(a) << n);
}

static inline apr_places apr_places_right(apr_places a, uint32_t n)
{
    return vreinterpretq_s32_u32(vreinterpretq_u32_s32(a) >> n);
}

/* Each by its own n from 1 to 31; any other gives anything. */
static inline apr_places apr_places_right_each(apr_places a, apr_places n)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vnegq_s32(n)));
}

/* yes where a < b. */
static inline apr_places apr_places_if_less(apr_places a, apr_places b, apr_places yes, apr_places no)
{
    return vbslq_s32(vcltq_s32(a, b), yes, no);
}

/* yes where a is 0. */
static inline apr_places apr_places_if_zero(apr_places a, apr_places yes, apr_places no)
{
    return vbslq_s32(vceqzq_s32(a), yes, no);
}

/* A bit for each, the first one lowest: whether a < b. */
static inline uint32_t apr_places_less(apr_places a, apr_places b)
{
    static const uint32_t bit[4] = {1U, 2U, 4U, 8U};
    return vaddvq_u32(vandq_u32(vld1q_u32(bit), vcltq_s32(a, b)));
}

/* With the bits of `more`, too, where a < b. */
static inline apr_places apr_places_or_if_less(apr_places bits, apr_places a, apr_places b, int32_t more)
{
    return vorrq_s32(bits, vandq_s32(vreinterpretq_s32_u32(vcltq_s32(a, b)), vdupq_n_s32(more)));
}

/* Whether a < b anywhere. */
static inline int apr_places_any_less(apr_places a, apr_places b)
{
    return (vmaxvq_u32(vcltq_s32(a, b)) != 0U) ? 1 : 0;
}

/* The float at each place. */
static inline apr_floats apr_floats_from(const float *x, apr_places at)
{
    float32x4_t found = vld1q_dup_f32(&x[vgetq_lane_s32(at, 0)]);
    found = vld1q_lane_f32(&x[vgetq_lane_s32(at, 1)], found, 1);
    found = vld1q_lane_f32(&x[vgetq_lane_s32(at, 2)], found, 2);
    return vld1q_lane_f32(&x[vgetq_lane_s32(at, 3)], found, 3);
}

/* `place` where the value is at least the limit, which a NaN is not. */
static inline apr_places apr_places_if_at_least(apr_places places, int32_t place, apr_floats values, apr_floats limit)
{
    return vbslq_s32(vcgeq_f32(values, limit), vdupq_n_s32(place), places);
}

/* 2^n of each n from 0 to 31; any other gives anything. */
static inline apr_places apr_places_power(apr_places n)
{
    return vshlq_s32(vdupq_n_s32(1), n);
}

/* The place of the highest bit of each; above 0. */
static inline apr_places apr_places_highest(apr_places a)
{
    return vsubq_s32(vdupq_n_s32(31), vclzq_s32(a));
}

/* ---- Longs: integers of 64 bits without a sign, one for each float ---------------------------------------------- */

typedef struct {
    uint64x2_t first;
    uint64x2_t last;
} apr_longs;

static inline apr_longs apr_longs_all(uint64_t value)
{
    apr_longs all;
    all.first = vdupq_n_u64(value);
    all.last = all.first;
    return all;
}

/* Without a sign. */
static inline apr_longs apr_longs_of(apr_places a)
{
    apr_longs wide;
    wide.first = vmovl_u32(vget_low_u32(vreinterpretq_u32_s32(a)));
    wide.last = vmovl_high_u32(vreinterpretq_u32_s32(a));
    return wide;
}

/* a * 2^32. */
static inline apr_longs apr_longs_raised(apr_places a)
{
    const int32x4_t zero = vdupq_n_s32(0);
    apr_longs raised;
    raised.first = vreinterpretq_u64_s32(vzip1q_s32(zero, a));
    raised.last = vreinterpretq_u64_s32(vzip2q_s32(zero, a));
    return raised;
}

static inline apr_places apr_longs_low(apr_longs a)
{
    return vuzp1q_s32(vreinterpretq_s32_u64(a.first), vreinterpretq_s32_u64(a.last));
}

static inline apr_places apr_longs_high(apr_longs a)
{
    return vuzp2q_s32(vreinterpretq_s32_u64(a.first), vreinterpretq_s32_u64(a.last));
}

/* Products without a sign, and the high halves of them. */
static inline apr_longs apr_longs_product(apr_places a, apr_places b)
{
    const uint32x4_t x = vreinterpretq_u32_s32(a);
    const uint32x4_t y = vreinterpretq_u32_s32(b);
    apr_longs product;
    product.first = vmull_u32(vget_low_u32(x), vget_low_u32(y));
    product.last = vmull_high_u32(x, y);
    return product;
}

static inline apr_places apr_places_high(apr_places a, apr_places b)
{
    return apr_longs_high(apr_longs_product(a, b));
}

static inline apr_longs apr_longs_add(apr_longs a, apr_longs b)
{
    apr_longs sum;
    sum.first = vaddq_u64(a.first, b.first);
    sum.last = vaddq_u64(a.last, b.last);
    return sum;
}

static inline apr_longs apr_longs_sub(apr_longs a, apr_longs b)
{
    apr_longs rest;
    rest.first = vsubq_u64(a.first, b.first);
    rest.last = vsubq_u64(a.last, b.last);
    return rest;
}

/* By n below 64, known when it is compiled. */
static inline apr_longs apr_longs_right(apr_longs a, uint32_t n)
{
    a.first = a.first >> n;
    a.last = a.last >> n;
    return a;
}

/* Each by its own n from 0 to 63; any other gives anything. */
static inline apr_longs apr_longs_right_each(apr_longs a, apr_places n)
{
    const int32x4_t left = vnegq_s32(n);
    a.first = vshlq_u64(a.first, vmovl_s32(vget_low_s32(left)));
    a.last = vshlq_u64(a.last, vmovl_high_s32(left));
    return a;
}

/* 32 bits of each from bit n on, each by its own n from 1 to 31; any other gives anything. */
static inline apr_places apr_longs_word(apr_longs a, apr_places n)
{
    return apr_longs_low(apr_longs_right_each(a, n));
}

#endif

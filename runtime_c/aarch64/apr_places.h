/* apr_places.h: what steps between sums of codes ask of vectors of integers beside apr_maps.h, with NEON. */
#ifndef APR_PLACES_H
#define APR_PLACES_H

#include "apr_maps.h"
#include "apr_sums.h"

/* ---- Integers of 32 bits ---------------------------------------------------------------------------------------- */

/* By n below 32, known when it is compiled; the sign is shifted in. */
static inline apr_places apr_places_shifted(apr_places a, uint32_t n)
{
    return a >> n;
}

/* Without their signs. */
static inline apr_places apr_places_size(apr_places a)
{
    return vabsq_s32(a);
}

/* Of numbers without a sign. */
static inline apr_places apr_places_least(apr_places a, apr_places b)
{
    return vreinterpretq_s32_u32(vminq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}

static inline apr_floats apr_floats_of_codes(apr_places codes)
{
    return vcvtq_f32_s32(codes);
}

/* Rows of four to columns of four, and back. */
static inline void apr_places_turn(apr_places v[4])
{
    const int64x2_t low01 = vreinterpretq_s64_s32(vtrn1q_s32(v[0], v[1]));
    const int64x2_t high01 = vreinterpretq_s64_s32(vtrn2q_s32(v[0], v[1]));
    const int64x2_t low23 = vreinterpretq_s64_s32(vtrn1q_s32(v[2], v[3]));
    const int64x2_t high23 = vreinterpretq_s64_s32(vtrn2q_s32(v[2], v[3]));
    v[0] = vreinterpretq_s32_s64(vtrn1q_s64(low01, low23));
    v[1] = vreinterpretq_s32_s64(vtrn1q_s64(high01, high23));
    v[2] = vreinterpretq_s32_s64(vtrn2q_s64(low01, low23));
    v[3] = vreinterpretq_s32_s64(vtrn2q_s64(high01, high23));
}

/* Four words of 4 rows that are `stride` words apart, of whatever type. */
static inline void apr_places_turned(const void *x, uint32_t stride, apr_places to[4])
{
    const uint8_t *const own = x;
    to[0] = vreinterpretq_s32_u8(vld1q_u8(own));
    to[1] = vreinterpretq_s32_u8(vld1q_u8(&own[4U * stride]));
    to[2] = vreinterpretq_s32_u8(vld1q_u8(&own[8U * stride]));
    to[3] = vreinterpretq_s32_u8(vld1q_u8(&own[12U * stride]));
    apr_places_turn(to);
}

/* The same back. */
static inline void apr_places_store_turned(int32_t *y, uint32_t stride, apr_places v[4])
{
    apr_places_turn(v);
    vst1q_s32(y, v[0]);
    vst1q_s32(&y[stride], v[1]);
    vst1q_s32(&y[2U * stride], v[2]);
    vst1q_s32(&y[3U * stride], v[3]);
}

/* ---- Codes of 16 bits -------------------------------------------------------------------------------------------- */

static inline apr_places apr_places_load_i16(const int16_t *x)
{
    return vmovl_s16(vld1_s16(x));
}

static inline void apr_places_store_i16(int16_t *y, apr_places codes)
{
    vst1_s16(y, vmovn_s32(codes));
}

/* Two entries of a table, from each place on: the first one is low. */
static inline apr_places apr_pairs_at(const void *table, apr_places at)
{
    const uint8_t *const own = table;
    uint32_t places[4];
    vst1q_u32(places, vreinterpretq_u32_s32(vshlq_n_s32(at, 1)));
    int32x4_t pairs = vdupq_n_s32(*(const apr_word *)(const void *)&own[places[0]]);
    pairs = vsetq_lane_s32(*(const apr_word *)(const void *)&own[places[1]], pairs, 1);
    pairs = vsetq_lane_s32(*(const apr_word *)(const void *)&own[places[2]], pairs, 2);
    return vsetq_lane_s32(*(const apr_word *)(const void *)&own[places[3]], pairs, 3);
}

/* The products of both entries, added up. */
static inline apr_places apr_pairs_dot(apr_places pairs, apr_places weights)
{
    const int16x8_t a = vreinterpretq_s16_s32(pairs);
    const int16x8_t b = vreinterpretq_s16_s32(weights);
    return vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b));
}

#endif

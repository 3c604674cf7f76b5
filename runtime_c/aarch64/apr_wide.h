/* apr_wide.h: what kernels for blocks of rows share, with NEON. */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_lines.h"

#include <arm_neon.h>

/* Keys of one column of the first 4 of n rows that are `stride` floats apart, in the order of the floats, both zeros
 * alike; `missing` in place of a NaN's. Of fewer than 4 rows the last key stands again. */
static inline void apr_wide_column(const float *x, uint32_t stride, uint32_t n, int32_t missing, int32_t keys[4])
{
    const float *const second = &x[(n > 1U) ? stride : 0U];
    const float *const third = (n > 2U) ? &second[stride] : second;
    const float *const fourth = (n > 3U) ? &third[stride] : third;
    float32x4_t values = vld1q_dup_f32(x);
    values = vld1q_lane_f32(second, values, 1);
    values = vld1q_lane_f32(third, values, 2);
    values = vld1q_lane_f32(fourth, values, 3);
    const int32x4_t bits = vreinterpretq_s32_f32(vaddq_f32(values, vdupq_n_f32(0.0F))); /* -0 + 0 = +0 */
    const uint32x4_t sign = vreinterpretq_u32_s32(vshrq_n_s32(bits, 31));
    const int32x4_t flip = vreinterpretq_s32_u32(vshrq_n_u32(sign, 1)); /* all but the sign, of negative ones */
    vst1q_s32(keys, vbslq_s32(vceqq_f32(values, values), veorq_s32(bits, flip), vdupq_n_s32(missing)));
}

/* How many of 16 thresholds are below a key. */
static inline uint32_t apr_wide_below_16(const int32_t *thresholds, int32_t key)
{
    const int32x4_t wide = vdupq_n_s32(key);
    const uint32x4_t first = vcgtq_s32(wide, vld1q_s32(&thresholds[0])); /* all bits: -1 */
    const uint32x4_t second = vcgtq_s32(wide, vld1q_s32(&thresholds[4]));
    const uint32x4_t third = vcgtq_s32(wide, vld1q_s32(&thresholds[8]));
    const uint32x4_t fourth = vcgtq_s32(wide, vld1q_s32(&thresholds[12]));
    return 0U - vaddvq_u32(vaddq_u32(vaddq_u32(first, second), vaddq_u32(third, fourth)));
}

/* 16 bytes: codes, places of leaves, or all bits of what holds. */
typedef uint8x16_t apr_wide_bytes;

static inline apr_wide_bytes apr_wide_all(uint8_t value)
{
    return vdupq_n_u8(value);
}

static inline void apr_wide_store(uint8_t *y, apr_wide_bytes bytes)
{
    vst1q_u8(y, bytes);
}

static inline apr_wide_bytes apr_wide_load(const uint8_t *x)
{
    return vld1q_u8(x);
}

/* A bit for each of 128 rows. */
typedef uint64_t apr_wide_line __attribute__((vector_size(16), may_alias));

/* Bit by bit, the first where the bit of `which` is set, else the second. */
static inline apr_wide_line apr_wide_either(apr_wide_line which, apr_wide_line first, apr_wide_line second)
{
    return (apr_wide_line)vbslq_u64((uint64x2_t)which, (uint64x2_t)first, (uint64x2_t)second);
}

/* 16 codes, in the order of the rows. */
static inline apr_wide_line apr_wide_of_codes(const uint8_t *codes)
{
    return *(const apr_wide_line *)(const void *)codes;
}

/* The bytes of 16 places in n times 16 bytes. */
static inline apr_wide_bytes apr_wide_picked(const apr_wide_bytes *bytes, uint32_t n, apr_wide_bytes places)
{
    apr_wide_bytes picked = vqtbl1q_u8(bytes[0], places); /* 0 of places from 16 on */
    APR_LOOP(apr_wide_picked, APR_IF_CONSTANT(n - 1U));
    for (uint32_t i = 1U; i < n; ++i) {
        APR_BODY(apr_wide_picked, APR_IF_CONSTANT(n - 1U));
        picked = vqtbx1q_u8(picked, bytes[i], vsubq_u8(places, vdupq_n_u8((uint8_t)(16U * i))));
    }
    return picked;
}

/* Of 16 codes that are above their limits, a bit that tells which of 8 it is. */
static inline uint8x16_t apr_wide_marks(apr_wide_bytes codes, const uint8_t *limits)
{
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(UINT64_C(0x8040201008040201)));
    return vandq_u8(vcgtq_u8(codes, vld1q_u8(limits)), bit);
}

/* The bits of those of 16 codes that are above their limits. */
static inline uint32_t apr_wide_above_16(apr_wide_bytes codes, const uint8_t *limits)
{
    uint8x16_t marks = apr_wide_marks(codes, limits);
    marks = vpaddq_u8(marks, marks);
    marks = vpaddq_u8(marks, marks);
    marks = vpaddq_u8(marks, marks);
    return vgetq_lane_u16(vreinterpretq_u16_u8(marks), 0);
}

static inline uint64_t apr_wide_above_64(const apr_wide_bytes codes[4], const uint8_t *limits)
{
    const uint8x16_t low = vpaddq_u8(apr_wide_marks(codes[0], &limits[0]), apr_wide_marks(codes[1], &limits[16]));
    const uint8x16_t high = vpaddq_u8(apr_wide_marks(codes[2], &limits[32]), apr_wide_marks(codes[3], &limits[48]));
    const uint8x16_t marks = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(marks, marks)), 0);
}

/* Of 16 codes, all bits of those above the limit. */
static inline apr_wide_bytes apr_wide_right_8(const uint8_t *codes, uint8_t limit)
{
    return vcgtq_u8(vld1q_u8(codes), vdupq_n_u8(limit));
}

/* The same of codes of 16 bits, each 32,767 less the code, as the limit is. */
static inline apr_wide_bytes apr_wide_right_16(const uint16_t *codes, uint16_t limit)
{
    const int16x8_t wide = vreinterpretq_s16_u16(vdupq_n_u16(limit));
    const uint16x8_t low = vcgtq_s16(wide, vreinterpretq_s16_u16(vld1q_u16(&codes[0])));
    const uint16x8_t high = vcgtq_s16(wide, vreinterpretq_s16_u16(vld1q_u16(&codes[8])));
    return vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
}

/* `one` where all bits are set, and the other where none is. */
static inline apr_wide_bytes apr_wide_chosen(apr_wide_bytes bits, apr_wide_bytes one, apr_wide_bytes other)
{
    return vbslq_u8(bits, one, other);
}

static inline apr_wide_bytes apr_wide_more(apr_wide_bytes bytes, apr_wide_bytes more)
{
    return vaddq_u8(bytes, more);
}

/* All bits are -1. */
static inline apr_wide_bytes apr_wide_less(apr_wide_bytes bytes, apr_wide_bytes less)
{
    return vsubq_u8(bytes, less);
}

/* The bytes of 16 values of 32 bits, lowest bytes first, to the values. */
static inline void apr_wide_joined(const uint8x16_t bytes[4], uint32x4_t values[4])
{
    const uint16x8_t low01 = vreinterpretq_u16_u8(vzip1q_u8(bytes[0], bytes[1]));
    const uint16x8_t high01 = vreinterpretq_u16_u8(vzip2q_u8(bytes[0], bytes[1]));
    const uint16x8_t low23 = vreinterpretq_u16_u8(vzip1q_u8(bytes[2], bytes[3]));
    const uint16x8_t high23 = vreinterpretq_u16_u8(vzip2q_u8(bytes[2], bytes[3]));
    values[0] = vreinterpretq_u32_u16(vzip1q_u16(low01, low23));
    values[1] = vreinterpretq_u32_u16(vzip2q_u16(low01, low23));
    values[2] = vreinterpretq_u32_u16(vzip1q_u16(high01, high23));
    values[3] = vreinterpretq_u32_u16(vzip2q_u16(high01, high23));
}

/* Add n values to as many sums. */
static inline void apr_wide_add_i32(int32_t *sums, const int32_t *values, uint32_t n)
{
    uint32_t i = 0U;
    APR_LOOP(apr_wide_add_i32_fours, APR_IF_CONSTANT(n / 4U));
    for (; (i + 4U) <= n; i += 4U) {
        APR_BODY(apr_wide_add_i32_fours, APR_IF_CONSTANT(n / 4U));
        vst1q_s32(&sums[i], vaddq_s32(vld1q_s32(&sums[i]), vld1q_s32(&values[i])));
    }
    APR_LOOP(apr_wide_add_i32_rest, APR_IF_CONSTANT(n % 4U));
    for (; i < n; ++i) {
        APR_BODY(apr_wide_add_i32_rest, APR_IF_CONSTANT(n % 4U));
        sums[i] += values[i];
    }
}

static inline void apr_wide_add_i16(int32_t *sums, const int16_t *values, uint32_t n)
{
    uint32_t i = 0U;
    APR_LOOP(apr_wide_add_i16_fours, APR_IF_CONSTANT(n / 4U));
    for (; (i + 4U) <= n; i += 4U) {
        APR_BODY(apr_wide_add_i16_fours, APR_IF_CONSTANT(n / 4U));
        vst1q_s32(&sums[i], vaddw_s16(vld1q_s32(&sums[i]), vld1_s16(&values[i])));
    }
    APR_LOOP(apr_wide_add_i16_rest, APR_IF_CONSTANT(n % 4U));
    for (; i < n; ++i) {
        APR_BODY(apr_wide_add_i16_rest, APR_IF_CONSTANT(n % 4U));
        sums[i] += values[i];
    }
}

#endif

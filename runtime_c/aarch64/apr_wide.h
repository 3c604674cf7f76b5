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
    for (; (i + 4U) <= n; i += 4U) {
        vst1q_s32(&sums[i], vaddq_s32(vld1q_s32(&sums[i]), vld1q_s32(&values[i])));
    }
    for (; i < n; ++i) {
        sums[i] += values[i];
    }
}

static inline void apr_wide_add_i16(int32_t *sums, const int16_t *values, uint32_t n)
{
    uint32_t i = 0U;
    for (; (i + 4U) <= n; i += 4U) {
        vst1q_s32(&sums[i], vaddw_s16(vld1q_s32(&sums[i]), vld1_s16(&values[i])));
    }
    for (; i < n; ++i) {
        sums[i] += values[i];
    }
}

#endif

/* apr_sums.h: sums of codes and floats in vectors of 4 for blocks of rows, with NEON. */
#ifndef APR_SUMS_H
#define APR_SUMS_H

#include "apr_dots.h"

typedef float32x4_t apr_values;

/* How sums become codes: apr_requantised() in apr_int.h. */
typedef struct {
    int32x4_t multiplier; /* times 2^15 */
    int32x4_t left;       /* the shift, negative: to the right */
} apr_scales;

/* Of a table of bytes, or of 16 bits. */
static inline apr_codes apr_codes_load(const void *codes)
{
    return vld1q_s8((const int8_t *)codes);
}

static inline apr_sums apr_sums_load(const int32_t *sums)
{
    return vld1q_s32(sums);
}

static inline apr_sums apr_sums_all(int32_t sum)
{
    return vdupq_n_s32(sum);
}

static inline apr_sums apr_sums_plus(apr_sums a, apr_sums b)
{
    return vaddq_s32(a, b);
}

/* One code for all sums. */
static inline apr_codes apr_codes_i32_all(const int32_t *x)
{
    return vreinterpretq_s8_s32(vdupq_n_s32(*x));
}

/* Squares of differences of codes of 16 bits, which fit 32 without a sign; each loses its last `drop` bits. */
static inline apr_sums apr_sums_add_square_i32(apr_sums sums, apr_codes x, apr_codes points, uint32_t drop)
{
    const int32x4_t apart = vsubq_s32(vreinterpretq_s32_s8(x), vreinterpretq_s32_s8(points));
    const uint32x4_t square = vreinterpretq_u32_s32(vmulq_s32(apart, apart)) >> drop;
    return vaddq_s32(sums, vreinterpretq_s32_u32(square));
}

static inline apr_scales apr_scales_load(const int32_t *multiplier, const int32_t *shift)
{
    apr_scales scales;
    scales.multiplier = vshlq_n_s32(vld1q_s32(multiplier), 15);
    scales.left = vnegq_s32(vld1q_s32(shift));
    return scales;
}

/* floor(2 * sum * m * 2^15 / 2^32), then rounded half up; neither is cut, as m < 2^15. */
static inline apr_sums apr_sums_requantised(apr_sums sums, apr_scales scales)
{
    return vrshlq_s32(vqdmulhq_s32(sums, scales.multiplier), scales.left);
}

static inline apr_sums apr_sums_within(apr_sums sums, int32_t low, int32_t high)
{
    return vminq_s32(vmaxq_s32(sums, vdupq_n_s32(low)), vdupq_n_s32(high));
}

/* Cut to 8 bits. */
static inline void apr_sums_store_i8(int8_t *y, apr_sums sums)
{
    const int16x4_t cut = vqmovn_s32(sums);
    const int8x8_t twice = vqmovn_s16(vcombine_s16(cut, cut));
    *(apr_word *)(void *)y = vget_lane_s32(vreinterpret_s32_s8(twice), 0);
}

/* Cut to 16 bits. */
static inline void apr_sums_store_i16(int16_t *y, apr_sums sums)
{
    vst1_s16(y, vqmovn_s32(sums));
}

static inline void apr_sums_store_i32(int32_t *y, apr_sums sums)
{
    vst1q_s32(y, sums);
}

static inline apr_values apr_values_all(float value)
{
    return vdupq_n_f32(value);
}

static inline apr_values apr_values_load(const float *x)
{
    return vld1q_f32(x);
}

/* The first n, 1 to 3; zeros behind them. */
static inline apr_values apr_values_load_first(const float *x, uint32_t n)
{
    float own[4] = {0.0F, 0.0F, 0.0F, 0.0F};
    APR_LOOP(apr_sums_first, APR_IF_CONSTANT(n));
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_sums_first, APR_IF_CONSTANT(n));
        own[i] = x[i];
    }
    return vld1q_f32(own);
}

static inline void apr_values_store(float *y, apr_values values)
{
    vst1q_f32(y, values);
}

/* The first n, 1 to 3. */
static inline void apr_values_store_first(float *y, uint32_t n, apr_values values)
{
    float own[4];
    vst1q_f32(own, values);
    APR_LOOP(apr_sums_store_first, APR_IF_CONSTANT(n));
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_sums_store_first, APR_IF_CONSTANT(n));
        y[i] = own[i];
    }
}

static inline apr_values apr_values_plus(apr_values a, apr_values b)
{
    return vaddq_f32(a, b);
}

static inline apr_values apr_values_of(apr_sums codes, apr_values scale)
{
    return vmulq_f32(vcvtq_f32_s32(codes), scale);
}

/* x * inverse rounded, in the bits of a float; codes begin at `low`, whose bits are `least`. A NaN counts as 0. */
static inline apr_sums apr_codes_of(apr_values x, apr_values inverse, apr_sums least, int32_t low, int32_t high)
{
    const float32x4_t magic = vdupq_n_f32(12582912.0F);
    const float32x4_t scaled = vaddq_f32(vmulq_f32(x, inverse), magic);
    const int32x4_t bits = vreinterpretq_s32_f32(vbslq_f32(vceqq_f32(x, x), scaled, magic));
    const int32x4_t above = vsubq_s32(vmaxq_s32(bits, least), least);
    const uint32x4_t cut = vminq_u32(vreinterpretq_u32_s32(above), vdupq_n_u32((uint32_t)(high - low)));
    return vaddq_s32(vreinterpretq_s32_u32(cut), vdupq_n_s32(low));
}

#endif

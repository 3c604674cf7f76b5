/* apr_floats.h: vectors of floats for blocks of rows, with NEON. Every operation rounds once: nothing is fused. */
#ifndef APR_FLOATS_H
#define APR_FLOATS_H

#include "apr_lines.h"

#include <arm_neon.h>

typedef float32x4_t apr_floats;
typedef int32x4_t apr_places;

static inline apr_floats apr_floats_all(float value)
{
    return vdupq_n_f32(value);
}

/* Of a table or buffer that begins where a line does. */
static inline apr_floats apr_floats_load(const float *x)
{
    return vld1q_f32(x);
}

/* Those that stand there, wherever that is. */
static inline apr_floats apr_floats_at(const float *x)
{
    return vld1q_f32(x);
}

static inline void apr_floats_store(float *y, apr_floats values)
{
    vst1q_f32(y, values);
}

/* The first n of them; n is 1 to 4. */
static inline void apr_floats_store_first(float *y, uint32_t n, apr_floats values)
{
    if (n == 4U) {
        vst1q_f32(y, values);
    } else if (n == 1U) {
        vst1q_lane_f32(y, values, 0);
    } else {
        vst1_f32(y, vget_low_f32(values));
        if (n == 3U) {
            vst1q_lane_f32(&y[2], values, 2);
        }
    }
}

static inline apr_floats apr_floats_add(apr_floats sum, apr_floats more)
{
    return vaddq_f32(sum, more);
}

static inline apr_floats apr_floats_add_product(apr_floats sum, apr_floats x, apr_floats weight)
{
    return vaddq_f32(sum, vmulq_f32(x, weight));
}

static inline apr_floats apr_floats_add_square(apr_floats sum, apr_floats x, apr_floats point)
{
    const apr_floats d = vsubq_f32(x, point);
    return vaddq_f32(sum, vmulq_f32(d, d));
}

/* +0 in place of a NaN and of -0. FMAX would keep the NaN. */
static inline apr_floats apr_floats_relu(apr_floats values)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(values), vcgtzq_f32(values)));
}

/* `best` where the value is a NaN. */
static inline apr_floats apr_floats_least(apr_floats values, apr_floats best)
{
    return vbslq_f32(vcltq_f32(values, best), values, best);
}

static inline apr_places apr_places_all(int32_t place)
{
    return vdupq_n_s32(place);
}

static inline apr_places apr_places_if_below(apr_places places, int32_t place, apr_floats values, apr_floats best)
{
    return vbslq_s32(vcltq_f32(values, best), vdupq_n_s32(place), places);
}

static inline void apr_places_store(int32_t *y, apr_places places)
{
    vst1q_s32(y, places);
}

/* Rows of four to columns of four, and back. */
static inline void apr_floats_turn(apr_floats v[4])
{
    const float64x2_t low_even = vreinterpretq_f64_f32(vtrn1q_f32(v[0], v[1]));
    const float64x2_t low_odd = vreinterpretq_f64_f32(vtrn2q_f32(v[0], v[1]));
    const float64x2_t high_even = vreinterpretq_f64_f32(vtrn1q_f32(v[2], v[3]));
    const float64x2_t high_odd = vreinterpretq_f64_f32(vtrn2q_f32(v[2], v[3]));
    v[0] = vreinterpretq_f32_f64(vtrn1q_f64(low_even, high_even));
    v[1] = vreinterpretq_f32_f64(vtrn1q_f64(low_odd, high_odd));
    v[2] = vreinterpretq_f32_f64(vtrn2q_f64(low_even, high_even));
    v[3] = vreinterpretq_f32_f64(vtrn2q_f64(low_odd, high_odd));
}

/* Four columns of 4 rows that are `stride` floats apart. */
static inline void apr_floats_turned(const float *x, uint32_t stride, apr_floats to[4])
{
    to[0] = vld1q_f32(x);
    to[1] = vld1q_f32(&x[stride]);
    to[2] = vld1q_f32(&x[2U * stride]);
    to[3] = vld1q_f32(&x[3U * stride]);
    apr_floats_turn(to);
}

/* The same, multiplied by the weights of their columns before they are turned. */
static inline void apr_floats_products_turned(const float *x, uint32_t stride, const float weights[4], apr_floats to[4])
{
    const float32x4_t w = vld1q_f32(weights);
    to[0] = vmulq_f32(vld1q_f32(x), w);
    to[1] = vmulq_f32(vld1q_f32(&x[stride]), w);
    to[2] = vmulq_f32(vld1q_f32(&x[2U * stride]), w);
    to[3] = vmulq_f32(vld1q_f32(&x[3U * stride]), w);
    apr_floats_turn(to);
}

/* One column of 4 rows. */
static inline apr_floats apr_floats_column(const float *x, uint32_t stride)
{
    float32x4_t column = vld1q_dup_f32(x);
    column = vld1q_lane_f32(&x[stride], column, 1);
    column = vld1q_lane_f32(&x[2U * stride], column, 2);
    return vld1q_lane_f32(&x[3U * stride], column, 3);
}

/* n columns, 1 to 4, of 4 rows that are `stride` floats apart. */
static inline void apr_floats_store_turned(
    float *y, uint32_t stride, uint32_t n, apr_floats a, apr_floats b, apr_floats c, apr_floats d)
{
    apr_floats v[4];
    v[0] = a;
    v[1] = b;
    v[2] = c;
    v[3] = d;
    apr_floats_turn(v);
    apr_floats_store_first(y, n, v[0]);
    apr_floats_store_first(&y[stride], n, v[1]);
    apr_floats_store_first(&y[2U * stride], n, v[2]);
    apr_floats_store_first(&y[3U * stride], n, v[3]);
}

/* What is read soon: n floats behind x, wherever that is. */
static inline void apr_floats_ahead(const float *x, uint32_t n)
{
    __builtin_prefetch((const void *)((uintptr_t)x + (4U * (uintptr_t)n)));
}

#endif

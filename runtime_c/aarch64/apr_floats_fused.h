/* apr_floats_fused.h: products that are added with one rounding for both, and totals of vectors, with NEON. */
#ifndef APR_FLOATS_FUSED_H
#define APR_FLOATS_FUSED_H

#include "apr_floats.h"

static inline apr_floats apr_floats_add_product_fused(apr_floats sum, apr_floats x, apr_floats weight)
{
    return vfmaq_f32(sum, x, weight);
}

/* The difference is rounded before. */
static inline apr_floats apr_floats_add_square_fused(apr_floats sum, apr_floats x, apr_floats point)
{
    const apr_floats d = vsubq_f32(x, point);
    return vfmaq_f32(sum, d, d);
}

/* Wherever they begin. */
static inline apr_floats apr_floats_load_any(const float *x)
{
    return vld1q_f32(x);
}

/* The first n of them, 1 to 3, and zeros. */
static inline apr_floats apr_floats_load_first(const float *x, uint32_t n)
{
    apr_floats v = vld1q_lane_f32(x, vdupq_n_f32(0.0F), 0);
    if (n > 1U) {
        v = vld1q_lane_f32(&x[1], v, 1);
    }
    if (n > 2U) {
        v = vld1q_lane_f32(&x[2], v, 2);
    }
    return v;
}

/* The totals of a, b, c and d: (0 + 2) + (1 + 3). */
static inline apr_floats apr_floats_totals_of_four(apr_floats a, apr_floats b, apr_floats c, apr_floats d)
{
    apr_floats v[4];
    v[0] = a;
    v[1] = b;
    v[2] = c;
    v[3] = d;
    apr_floats_turn(v);
    return vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
}

/* They are all that a vector holds. */
static inline apr_floats apr_floats_totals(const apr_floats v[1])
{
    return v[0];
}

/* The same total of one vector. */
static inline float apr_floats_total(apr_floats v)
{
    const float32x2_t halves = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(halves, 0) + vget_lane_f32(halves, 1);
}

#endif

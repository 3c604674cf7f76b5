/* apr_dots.h: products of codes that are added up in vectors of 4 sums, with NEON (Armv8.0-A). */
#ifndef APR_DOTS_H
#define APR_DOTS_H

#include "apr_lines.h"

#include <arm_neon.h>

typedef int32x4_t apr_sums;
typedef int8x16_t apr_codes; /* of 8 bits, or eight of 16 */

/* Four codes for each sum: the first pair four times, then the second. */
static inline apr_codes apr_codes_i8_all(const int8_t *x)
{
    static const uint8_t place[16] = {0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3};
    const int32x4_t four = vdupq_n_s32(*(const apr_word *)(const void *)x);
    return vqtbl1q_s8(vreinterpretq_s8_s32(four), vld1q_u8(place));
}

/* Two products of 8 bits fit 16: |code| <= 2^7, |weight| < 2^7. */
static inline apr_sums apr_sums_add_i8(apr_sums sums, apr_codes x, apr_codes weights)
{
    const int16x8_t first = vmull_s8(vget_low_s8(x), vget_low_s8(weights));
    return vpadalq_s16(sums, vmlal_high_s8(first, x, weights));
}

/* Two codes, for all sums. */
static inline apr_codes apr_codes_i16_all(const int16_t *x)
{
    return vreinterpretq_s8_s32(vdupq_n_s32(*(const apr_word *)(const void *)x));
}

/* Weights of four sums for the first code, then for the second. */
static inline apr_sums apr_sums_add_i16(apr_sums sums, apr_codes x, apr_codes weights)
{
    const int16x4_t own = vget_low_s16(vreinterpretq_s16_s8(x));
    const int16x8_t w = vreinterpretq_s16_s8(weights);
    return vmlal_high_lane_s16(vmlal_lane_s16(sums, vget_low_s16(w), own, 0), w, own, 1);
}

/* Squares of differences of four points for the first code, then for the second; of codes of 8 bits, so that no
 * difference leaves 16. */
static inline apr_sums apr_sums_add_square_i16(apr_sums sums, apr_codes x, apr_codes points)
{
    const int16x4_t own = vget_low_s16(vreinterpretq_s16_s8(x));
    const int16x8_t w = vreinterpretq_s16_s8(points);
    const int16x4_t first = vsub_s16(vdup_lane_s16(own, 0), vget_low_s16(w));
    const int16x4_t last = vsub_s16(vdup_lane_s16(own, 1), vget_high_s16(w));
    return vmlal_s16(vmlal_s16(sums, first, first), last, last);
}

#endif

/* apr_columns.h: sums of codes with columns in the lanes of vectors, with NEON. */
#ifndef APR_COLUMNS_H
#define APR_COLUMNS_H

#include "apr_sums.h"

/* 16 codes of 8 bits. */
static inline apr_codes apr_columns_i8_of_i8(const int8_t *x)
{
    return vld1q_s8(x);
}

/* Eight codes of 16 bits. */
static inline apr_codes apr_columns_i16_of_i16(const int16_t *x)
{
    return vreinterpretq_s8_s16(vld1q_s16(x));
}

/* Four products a sum. */
static inline apr_sums apr_columns_add_i8(apr_sums sums, apr_codes x, apr_codes weights)
{
    return apr_sums_add_i8(sums, x, weights);
}

/* Two products a sum. */
static inline apr_sums apr_columns_add_i16(apr_sums sums, apr_codes x, apr_codes weights)
{
    const int16x8_t own = vreinterpretq_s16_s8(x);
    const int16x8_t w = vreinterpretq_s16_s8(weights);
    return vmlal_high_s16(vmlal_s16(sums, vget_low_s16(own), vget_low_s16(w)), own, w);
}

/* Fetches what will be read, so many bytes further on; whether anything is there or not, it does no harm. */
static inline void apr_columns_expect(const void *x, uint32_t bytes)
{
    __builtin_prefetch((const void *)((uintptr_t)x + bytes));
}

/* One product a sum. */
static inline apr_sums apr_sums_add_each_i8(apr_sums sums, apr_sums codes, const int8_t *weights)
{
    const int32x2_t four = vdup_n_s32(*(const apr_word *)(const void *)weights);
    const int16x8_t w = vmovl_s8(vreinterpret_s8_s32(four));
    return vmlal_s16(sums, vmovn_s32(codes), vget_low_s16(w));
}

static inline apr_sums apr_sums_add_each_i16(apr_sums sums, apr_sums codes, const int16_t *weights)
{
    return vmlal_s16(sums, vmovn_s32(codes), vld1_s16(weights));
}

/* In the first lane; zeros in others. */
static inline apr_sums apr_sums_one(int32_t sum)
{
    return vsetq_lane_s32(sum, vdupq_n_s32(0), 0);
}

/* Of all lanes, modulo 2^32. */
static inline int32_t apr_sums_total(apr_sums sums)
{
    return vaddvq_s32(sums);
}

#endif

/* apr_sums.h: sums of codes and floats in vectors of 4 for blocks of rows, with SIMD128. */
#ifndef APR_SUMS_H
#define APR_SUMS_H

#include "apr_lines.h"

#include <wasm_simd128.h>

typedef v128_t apr_sums;
typedef v128_t apr_codes;
typedef v128_t apr_values;

/* How sums become codes: apr_requantised() in apr_int.h. */
typedef struct {
    v128_t low;  /* multipliers, for the lower halves of sums */
    v128_t high; /* the same for the upper halves */
    v128_t left; /* 2^(31 - shift): vectors are shifted by one number only */
} apr_scales;

/* Two codes for each sum. */
static inline apr_codes apr_codes_i16_all(const int16_t *x)
{
    return wasm_v128_load32_splat(x);
}

static inline apr_codes apr_codes_load(const void *codes)
{
    return wasm_v128_load(codes);
}

/* No pair of products leaves 32 bits: weights are above -2^15. */
static inline apr_sums apr_sums_add_i16(apr_sums sums, apr_codes x, apr_codes weights)
{
    return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(x, weights));
}

/* Squares of differences; of codes of 8 bits, so that none leaves 16. */
static inline apr_sums apr_sums_add_square_i16(apr_sums sums, apr_codes x, apr_codes points)
{
    const v128_t apart = wasm_i16x8_sub(x, points);
    return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(apart, apart));
}

static inline apr_sums apr_sums_load(const int32_t *sums)
{
    return wasm_v128_load(sums);
}

static inline apr_sums apr_sums_all(int32_t sum)
{
    return wasm_i32x4_splat(sum);
}

static inline apr_sums apr_sums_plus(apr_sums a, apr_sums b)
{
    return wasm_i32x4_add(a, b);
}

/* One code for all sums. */
static inline apr_codes apr_codes_i32_all(const int32_t *x)
{
    return wasm_v128_load32_splat(x);
}

/* Squares of differences of codes of 16 bits, which fit 32 without a sign; each loses its last `drop` bits. */
static inline apr_sums apr_sums_add_square_i32(apr_sums sums, apr_codes x, apr_codes points, uint32_t drop)
{
    const v128_t apart = wasm_i32x4_sub(x, points);
    return wasm_i32x4_add(sums, wasm_u32x4_shr(wasm_i32x4_mul(apart, apart), drop));
}

static inline apr_scales apr_scales_load(const int32_t *multiplier, const int32_t *shift)
{
    apr_scales scales;
    const v128_t exponent = wasm_i32x4_sub(wasm_i32x4_splat(127 + 31), wasm_v128_load(shift));
    scales.low = wasm_v128_load(multiplier);
    scales.high = wasm_i32x4_shl(scales.low, 16);
    scales.left = wasm_i32x4_trunc_sat_f32x4(wasm_i32x4_shl(exponent, 23)); /* at most 2^30 */
    return scales;
}

/* sum = high * 2^16 + low, high with a sign: floor(sum * m / 2^16) = high * m + floor(low * m / 2^16). To add half and shift
 * right is to multiply by 2^(31 - shift), to add 2^30, and to take what is above 31 bits. */
static inline apr_sums apr_sums_requantised(apr_sums sums, apr_scales scales)
{
    const v128_t upper = wasm_i32x4_dot_i16x8(sums, scales.high);
    const v128_t lower = wasm_i32x4_mul(wasm_v128_and(sums, wasm_i32x4_splat(0xFFFF)), scales.low);
    const v128_t product = wasm_i32x4_add(upper, wasm_u32x4_shr(lower, 16));
    const v128_t half = wasm_i64x2_splat(INT64_C(1) << 30);
    const v128_t first = wasm_i64x2_add(wasm_i64x2_extmul_low_i32x4(product, scales.left), half);
    const v128_t last = wasm_i64x2_add(wasm_i64x2_extmul_high_i32x4(product, scales.left), half);
    return wasm_i32x4_shuffle(wasm_u64x2_shr(first, 31), wasm_u64x2_shr(last, 31), 0, 2, 4, 6);
}

static inline apr_sums apr_sums_within(apr_sums sums, int32_t low, int32_t high)
{
    return wasm_i32x4_min(wasm_i32x4_max(sums, wasm_i32x4_splat(low)), wasm_i32x4_splat(high));
}

/* Cut to 8 bits. */
static inline void apr_sums_store_i8(int8_t *y, apr_sums sums)
{
    const v128_t cut = wasm_i16x8_narrow_i32x4(sums, sums);
    wasm_v128_store32_lane(y, wasm_i8x16_narrow_i16x8(cut, cut), 0);
}

/* Cut to 16 bits. */
static inline void apr_sums_store_i16(int16_t *y, apr_sums sums)
{
    wasm_v128_store64_lane(y, wasm_i16x8_narrow_i32x4(sums, sums), 0);
}

static inline void apr_sums_store_i32(int32_t *y, apr_sums sums)
{
    wasm_v128_store(y, sums);
}

static inline apr_values apr_values_all(float value)
{
    return wasm_f32x4_splat(value);
}

static inline apr_values apr_values_load(const float *x)
{
    return wasm_v128_load(x);
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
    return wasm_v128_load(own);
}

static inline void apr_values_store(float *y, apr_values values)
{
    wasm_v128_store(y, values);
}

/* The first n, 1 to 3. */
static inline void apr_values_store_first(float *y, uint32_t n, apr_values values)
{
    float own[4];
    wasm_v128_store(own, values);
    APR_LOOP(apr_sums_store_first, APR_IF_CONSTANT(n));
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_sums_store_first, APR_IF_CONSTANT(n));
        y[i] = own[i];
    }
}

static inline apr_values apr_values_plus(apr_values a, apr_values b)
{
    return wasm_f32x4_add(a, b);
}

static inline apr_values apr_values_of(apr_sums codes, apr_values scale)
{
    return wasm_f32x4_mul(wasm_f32x4_convert_i32x4(codes), scale);
}

/* x * inverse rounded, in the bits of a float; codes begin at `low`, whose bits are `least`. A NaN counts as 0. */
static inline apr_sums apr_codes_of(apr_values x, apr_values inverse, apr_sums least, int32_t low, int32_t high)
{
    const v128_t magic = wasm_f32x4_splat(12582912.0F);
    const v128_t scaled = wasm_f32x4_add(wasm_f32x4_mul(x, inverse), magic);
    const v128_t bits = wasm_v128_bitselect(scaled, magic, wasm_f32x4_eq(x, x));
    const v128_t above = wasm_i32x4_sub(wasm_i32x4_max(bits, least), least);
    return wasm_i32x4_add(wasm_u32x4_min(above, wasm_i32x4_splat(high - low)), wasm_i32x4_splat(low));
}

#endif

/* apr_wide.h: what kernels for blocks of rows share, with SIMD128 of WebAssembly. */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_lines.h"

#include <wasm_simd128.h>

/* Keys of one column of the first 4 of n rows that are `stride` floats apart, in the order of the floats, both zeros
 * alike; `missing` in place of a NaN's. Of fewer than 4 rows the last key stands again. */
static inline void apr_wide_column(const float *x, uint32_t stride, uint32_t n, int32_t missing, int32_t keys[4])
{
    const float *const second = &x[(n > 1U) ? stride : 0U];
    const float *const third = (n > 2U) ? &second[stride] : second;
    const float *const fourth = (n > 3U) ? &third[stride] : third;
    const v128_t values = wasm_f32x4_make(*x, *second, *third, *fourth);
    const v128_t bits = wasm_f32x4_add(values, wasm_f32x4_const_splat(0.0F)); /* -0 + 0 = +0 */
    const v128_t flip = wasm_u32x4_shr(wasm_i32x4_shr(bits, 31), 1); /* all but the sign, of negative ones */
    const v128_t number = wasm_f32x4_eq(values, values);
    wasm_v128_store(keys, wasm_v128_bitselect(wasm_v128_xor(bits, flip), wasm_i32x4_splat(missing), number));
}

/* How many of 16 thresholds are below a key. */
static inline uint32_t apr_wide_below_16(const int32_t *thresholds, int32_t key)
{
    const v128_t wide = wasm_i32x4_splat(key);
    const v128_t first = wasm_i32x4_gt(wide, wasm_v128_load(&thresholds[0]));
    const v128_t second = wasm_i32x4_gt(wide, wasm_v128_load(&thresholds[4]));
    const v128_t third = wasm_i32x4_gt(wide, wasm_v128_load(&thresholds[8]));
    const v128_t fourth = wasm_i32x4_gt(wide, wasm_v128_load(&thresholds[12]));
    const v128_t low = wasm_i16x8_narrow_i32x4(first, second);
    const v128_t high = wasm_i16x8_narrow_i32x4(third, fourth);
    return (uint32_t)__builtin_popcount((uint32_t)wasm_i8x16_bitmask(wasm_i8x16_narrow_i16x8(low, high)));
}

/* Of 16 codes with a sign, all bits of those above the limit. */
static inline v128_t apr_wide_right(const uint8_t *codes, v128_t limit)
{
    return wasm_i8x16_gt(wasm_v128_load(codes), limit);
}

/* Add n values to as many sums. */
static inline void apr_wide_add_i32(int32_t *sums, const int32_t *values, uint32_t n)
{
    uint32_t i = 0U;
    for (; (i + 4U) <= n; i += 4U) {
        wasm_v128_store(&sums[i], wasm_i32x4_add(wasm_v128_load(&sums[i]), wasm_v128_load(&values[i])));
    }
    for (; i < n; ++i) {
        sums[i] += values[i];
    }
}

static inline void apr_wide_add_i16(int32_t *sums, const int16_t *values, uint32_t n)
{
    uint32_t i = 0U;
    for (; (i + 4U) <= n; i += 4U) {
        wasm_v128_store(&sums[i], wasm_i32x4_add(wasm_v128_load(&sums[i]), wasm_i32x4_load16x4(&values[i])));
    }
    for (; i < n; ++i) {
        sums[i] += values[i];
    }
}

#endif

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

/* A node of trees that are walked, whose two words lie in a table: the second is how much further its right child is.
 * Engines read three numbers sooner than they take one apart. */
typedef struct __attribute__((may_alias)) {
    uint16_t limit;
    uint16_t feature;
    uint32_t further;
} apr_wide_node;

/* The nodes on the way are kept in memory: engines put off what is not written, so a step that is ends before that of
 * the next row begins. They have no registers for what the steps of all rows would then wait for. */
typedef const apr_wide_node *volatile apr_wide_on_the_way;

static inline const apr_wide_node *apr_wide_next(const apr_wide_node *node, const uint16_t *codes)
{
    return &node[node->further - ((codes[node->feature] < node->limit) ? 1U : 0U)];
}

/* 16 bytes: codes, places of leaves, or all bits of what holds. */
typedef v128_t apr_wide_bytes;

static inline apr_wide_bytes apr_wide_all(uint8_t value)
{
    return wasm_u8x16_splat(value);
}

static inline void apr_wide_store(uint8_t *y, apr_wide_bytes bytes)
{
    wasm_v128_store(y, bytes);
}

static inline apr_wide_bytes apr_wide_load(const uint8_t *x)
{
    return wasm_v128_load(x);
}

/* A bit for each of 128 rows. */
typedef uint64_t apr_wide_line __attribute__((vector_size(16), may_alias));

/* Bit by bit, the first where the bit of `which` is set, else the second. */
static inline apr_wide_line apr_wide_either(apr_wide_line which, apr_wide_line first, apr_wide_line second)
{
    return (apr_wide_line)wasm_v128_bitselect((v128_t)first, (v128_t)second, (v128_t)which);
}

/* 16 codes, in the order of the rows. */
static inline apr_wide_line apr_wide_of_codes(const uint8_t *codes)
{
    return *(const apr_wide_line *)(const void *)codes;
}

/* The bytes of 16 places in n times 16 bytes. */
static inline apr_wide_bytes apr_wide_picked(const apr_wide_bytes *bytes, uint32_t n, apr_wide_bytes places)
{
    apr_wide_bytes picked = wasm_i8x16_swizzle(bytes[0], places); /* 0 of places from 16 on */
    APR_LOOP(apr_wide_picked, APR_IF_CONSTANT(n - 1U));
    for (uint32_t i = 1U; i < n; ++i) {
        APR_BODY(apr_wide_picked, APR_IF_CONSTANT(n - 1U));
        const apr_wide_bytes own = wasm_i8x16_sub(places, wasm_u8x16_splat((uint8_t)(16U * i)));
        picked = wasm_v128_or(picked, wasm_i8x16_swizzle(bytes[i], own));
    }
    return picked;
}

/* The bits of those of 16 codes that are not above their limits. */
static inline uint32_t apr_wide_not_above(apr_wide_bytes codes, const uint8_t *limits)
{
    const v128_t above = wasm_u8x16_sub_sat(codes, wasm_v128_load(limits)); /* 0, or by how much */
    return (uint32_t)wasm_i8x16_bitmask(wasm_i8x16_eq(above, wasm_i8x16_const_splat(0)));
}

/* The bits of those of 16 codes that are above their limits. */
static inline uint32_t apr_wide_above_16(apr_wide_bytes codes, const uint8_t *limits)
{
    return apr_wide_not_above(codes, limits) ^ 0xFFFFU;
}

static inline uint64_t apr_wide_above_64(const apr_wide_bytes codes[4], const uint8_t *limits)
{
    const uint32_t low = apr_wide_not_above(codes[0], &limits[0]) | (apr_wide_not_above(codes[1], &limits[16]) << 16);
    const uint32_t high = apr_wide_not_above(codes[2], &limits[32]) | (apr_wide_not_above(codes[3], &limits[48]) << 16);
    return ~(((uint64_t)high << 32) | low);
}

/* Of 16 codes, each 127 less the code, all bits of those above that of the limit. */
static inline apr_wide_bytes apr_wide_right_8(const uint8_t *codes, uint8_t limit)
{
    return wasm_i8x16_gt(wasm_u8x16_splat(limit), wasm_v128_load(codes));
}

/* The same of codes of 16 bits, each 32,767 less the code. */
static inline apr_wide_bytes apr_wide_right_16(const uint16_t *codes, uint16_t limit)
{
    const v128_t wide = wasm_u16x8_splat(limit);
    const v128_t low = wasm_i16x8_gt(wide, wasm_v128_load(&codes[0]));
    return wasm_i8x16_narrow_i16x8(low, wasm_i16x8_gt(wide, wasm_v128_load(&codes[8])));
}

/* `one` where all bits are set, and the other where none is. */
static inline apr_wide_bytes apr_wide_chosen(apr_wide_bytes bits, apr_wide_bytes one, apr_wide_bytes other)
{
    return wasm_v128_bitselect(one, other, bits);
}

static inline apr_wide_bytes apr_wide_more(apr_wide_bytes bytes, apr_wide_bytes more)
{
    return wasm_i8x16_add(bytes, more);
}

/* All bits are -1. */
static inline apr_wide_bytes apr_wide_less(apr_wide_bytes bytes, apr_wide_bytes less)
{
    return wasm_i8x16_sub(bytes, less);
}

/* Add n values to as many sums. */
static inline void apr_wide_add_i32(int32_t *sums, const int32_t *values, uint32_t n)
{
    uint32_t i = 0U;
    APR_LOOP(apr_wide_add_i32_fours, APR_IF_CONSTANT(n / 4U));
    for (; (i + 4U) <= n; i += 4U) {
        APR_BODY(apr_wide_add_i32_fours, APR_IF_CONSTANT(n / 4U));
        wasm_v128_store(&sums[i], wasm_i32x4_add(wasm_v128_load(&sums[i]), wasm_v128_load(&values[i])));
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
        wasm_v128_store(&sums[i], wasm_i32x4_add(wasm_v128_load(&sums[i]), wasm_i32x4_load16x4(&values[i])));
    }
    APR_LOOP(apr_wide_add_i16_rest, APR_IF_CONSTANT(n % 4U));
    for (; i < n; ++i) {
        APR_BODY(apr_wide_add_i16_rest, APR_IF_CONSTANT(n % 4U));
        sums[i] += values[i];
    }
}

#endif

/* apr_maps.h: what steps between sums ask of vectors beside apr_floats.h, with SIMD128 of WebAssembly. Every operation
 * on floats rounds once. */
#ifndef APR_MAPS_H
#define APR_MAPS_H

#include "apr_floats.h"

/* ---- Floats ---------------------------------------------------------------------------------------------------- */

static inline apr_floats apr_floats_sub(apr_floats a, apr_floats b)
{
    return wasm_f32x4_sub(a, b);
}

static inline apr_floats apr_floats_mul(apr_floats a, apr_floats b)
{
    return wasm_f32x4_mul(a, b);
}

static inline apr_floats apr_floats_div(apr_floats a, apr_floats b)
{
    return wasm_f32x4_div(a, b);
}

static inline apr_floats apr_floats_sqrt(apr_floats a)
{
    return wasm_f32x4_sqrt(a);
}

/* For bounds of what it stands for: a target may round once or twice. */
static inline apr_floats apr_floats_less_product(apr_floats a, apr_floats x, apr_floats weight)
{
    return wasm_f32x4_sub(a, wasm_f32x4_mul(x, weight));
}

static inline apr_floats apr_floats_neg(apr_floats a)
{
    return wasm_f32x4_neg(a);
}

static inline apr_floats apr_floats_abs(apr_floats a)
{
    return wasm_f32x4_abs(a);
}

/* b where one of them is a NaN: pmax gives its first operand unless that is less than the second. */
static inline apr_floats apr_floats_most(apr_floats a, apr_floats b)
{
    return wasm_f32x4_pmax(b, a);
}

/* yes where a > b, which a NaN is not. */
static inline apr_floats apr_floats_if_above(apr_floats a, apr_floats b, apr_floats yes, apr_floats no)
{
    return wasm_v128_bitselect(yes, no, wasm_f32x4_gt(a, b));
}

/* yes where a is a NaN. */
static inline apr_floats apr_floats_if_nan(apr_floats a, apr_floats yes, apr_floats no)
{
    return wasm_v128_bitselect(no, yes, wasm_f32x4_eq(a, a));
}

/* A bit for each value, the first one lowest: 1 where it is not at least the limit, as a NaN is not. */
static inline uint32_t apr_floats_not_at_least(apr_floats values, apr_floats limit)
{
    return (uint32_t)wasm_i32x4_bitmask(wasm_f32x4_ge(values, limit)) ^ 0xFU;
}

/* The place of the lowest bit that is 1; there must be one. */
static inline uint32_t apr_lowest_bit(uint32_t bits)
{
    return (uint32_t)__builtin_ctz(bits);
}

/* How many bits are 1. */
static inline uint32_t apr_ones(uint64_t bits)
{
    return (uint32_t)__builtin_popcountll(bits);
}

/* ---- Places: integers of 32 bits, one for each float, with a sign unless it says otherwise ---------------------- */

static inline apr_places apr_places_of(apr_floats bits)
{
    return bits;
}

static inline apr_floats apr_floats_of(apr_places bits)
{
    return bits;
}

static inline apr_places apr_places_load(const int32_t *x)
{
    return wasm_v128_load(x);
}

static inline apr_places apr_places_add(apr_places a, apr_places b)
{
    return wasm_i32x4_add(a, b);
}

static inline apr_places apr_places_sub(apr_places a, apr_places b)
{
    return wasm_i32x4_sub(a, b);
}

static inline apr_places apr_places_mul(apr_places a, apr_places b)
{
    return wasm_i32x4_mul(a, b);
}

static inline apr_places apr_places_and(apr_places a, apr_places b)
{
    return wasm_v128_and(a, b);
}

static inline apr_places apr_places_or(apr_places a, apr_places b)
{
    return wasm_v128_or(a, b);
}

static inline apr_places apr_places_xor(apr_places a, apr_places b)
{
    return wasm_v128_xor(a, b);
}

static inline apr_places apr_places_min(apr_places a, apr_places b)
{
    return wasm_i32x4_min(a, b);
}

static inline apr_places apr_places_max(apr_places a, apr_places b)
{
    return wasm_i32x4_max(a, b);
}

/* By n below 32; 0 is shifted in. */
static inline apr_places apr_places_left(apr_places a, uint32_t n)
{
    return wasm_i32x4_shl(a, n);
}

static inline apr_places apr_places_right(apr_places a, uint32_t n)
{
    return wasm_u32x4_shr(a, n);
}

/* yes where a < b. */
static inline apr_places apr_places_if_less(apr_places a, apr_places b, apr_places yes, apr_places no)
{
    return wasm_v128_bitselect(yes, no, wasm_i32x4_lt(a, b));
}

/* yes where a is 0. */
static inline apr_places apr_places_if_zero(apr_places a, apr_places yes, apr_places no)
{
    return wasm_v128_bitselect(yes, no, wasm_i32x4_eq(a, wasm_i32x4_const_splat(0)));
}

/* A bit for each, the first one lowest: whether a < b. */
static inline uint32_t apr_places_less(apr_places a, apr_places b)
{
    return (uint32_t)wasm_i32x4_bitmask(wasm_i32x4_lt(a, b));
}

/* With the bits of `more`, too, where a < b. */
static inline apr_places apr_places_or_if_less(apr_places bits, apr_places a, apr_places b, int32_t more)
{
    return wasm_v128_or(bits, wasm_v128_and(wasm_i32x4_lt(a, b), wasm_i32x4_splat(more)));
}

/* Whether a < b anywhere. */
static inline int apr_places_any_less(apr_places a, apr_places b)
{
    return wasm_v128_any_true(wasm_i32x4_lt(a, b)) ? 1 : 0;
}

/* The float at each place. */
static inline apr_floats apr_floats_from(const float *x, apr_places at)
{
    v128_t found = wasm_v128_load32_zero(&x[wasm_i32x4_extract_lane(at, 0)]);
    found = wasm_v128_load32_lane(&x[wasm_i32x4_extract_lane(at, 1)], found, 1);
    found = wasm_v128_load32_lane(&x[wasm_i32x4_extract_lane(at, 2)], found, 2);
    return wasm_v128_load32_lane(&x[wasm_i32x4_extract_lane(at, 3)], found, 3);
}

/* `place` where the value is at least the limit, which a NaN is not. */
static inline apr_places apr_places_if_at_least(apr_places places, int32_t place, apr_floats values, apr_floats limit)
{
    return wasm_v128_bitselect(wasm_i32x4_splat(place), places, wasm_f32x4_ge(values, limit));
}

/* The place of the highest bit of each; above 0. Without the bit below it a float of it is not rounded up. */
static inline apr_places apr_places_highest(apr_places a)
{
    const v128_t rounded = wasm_f32x4_convert_i32x4(wasm_v128_andnot(a, wasm_u32x4_shr(a, 1)));
    return wasm_i32x4_sub(wasm_u32x4_shr(rounded, 23), wasm_i32x4_const_splat(127));
}

/* 2^n of each n from 0 to 31: bit n % 8 of byte n / 8, from a table of bits that ends with zeros. */
static inline apr_places apr_places_power(apr_places n)
{
    const v128_t first = wasm_i8x16_const(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    const v128_t byte = wasm_i8x16_const(0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24);
    const v128_t every = wasm_i8x16_shuffle(n, n, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    return wasm_i8x16_swizzle(first, wasm_i8x16_sub(every, byte));
}

/* ---- Longs: integers of 64 bits without a sign, one for each float ---------------------------------------------- */

typedef struct {
    v128_t first;
    v128_t last;
} apr_longs;

static inline apr_longs apr_longs_all(uint64_t value)
{
    apr_longs all;
    all.first = wasm_i64x2_splat((int64_t)value);
    all.last = all.first;
    return all;
}

/* Without a sign. */
static inline apr_longs apr_longs_of(apr_places a)
{
    apr_longs wide;
    wide.first = wasm_u64x2_extend_low_u32x4(a);
    wide.last = wasm_u64x2_extend_high_u32x4(a);
    return wide;
}

/* a * 2^32. */
static inline apr_longs apr_longs_raised(apr_places a)
{
    const v128_t zero = wasm_i32x4_const_splat(0);
    apr_longs raised;
    raised.first = wasm_i32x4_shuffle(zero, a, 0, 4, 1, 5);
    raised.last = wasm_i32x4_shuffle(zero, a, 2, 6, 3, 7);
    return raised;
}

static inline apr_places apr_longs_low(apr_longs a)
{
    return wasm_i32x4_shuffle(a.first, a.last, 0, 2, 4, 6);
}

static inline apr_places apr_longs_high(apr_longs a)
{
    return wasm_i32x4_shuffle(a.first, a.last, 1, 3, 5, 7);
}

/* Products without a sign, and the high halves of them. */
static inline apr_longs apr_longs_product(apr_places a, apr_places b)
{
    apr_longs product;
    product.first = wasm_u64x2_extmul_low_u32x4(a, b);
    product.last = wasm_u64x2_extmul_high_u32x4(a, b);
    return product;
}

static inline apr_places apr_places_high(apr_places a, apr_places b)
{
    return apr_longs_high(apr_longs_product(a, b));
}

static inline apr_longs apr_longs_add(apr_longs a, apr_longs b)
{
    a.first = wasm_i64x2_add(a.first, b.first);
    a.last = wasm_i64x2_add(a.last, b.last);
    return a;
}

static inline apr_longs apr_longs_sub(apr_longs a, apr_longs b)
{
    a.first = wasm_i64x2_sub(a.first, b.first);
    a.last = wasm_i64x2_sub(a.last, b.last);
    return a;
}

/* By n below 64. */
static inline apr_longs apr_longs_right(apr_longs a, uint32_t n)
{
    a.first = wasm_u64x2_shr(a.first, n);
    a.last = wasm_u64x2_shr(a.last, n);
    return a;
}

/* Two of them, by the same two numbers modulo 64: vectors are shifted by one number only. */
static inline v128_t apr_longs_right_two(v128_t a, uint32_t n, uint32_t m)
{
    const uint64_t first = (uint64_t)wasm_i64x2_extract_lane(a, 0) >> (n & 63U);
    const uint64_t second = (uint64_t)wasm_i64x2_extract_lane(a, 1) >> (m & 63U);
    return wasm_i64x2_make((int64_t)first, (int64_t)second);
}

/* Each by its own n from 0 to 63; any other gives anything. */
static inline apr_longs apr_longs_right_each(apr_longs a, apr_places n)
{
    a.first = apr_longs_right_two(
        a.first, (uint32_t)wasm_i32x4_extract_lane(n, 0), (uint32_t)wasm_i32x4_extract_lane(n, 1));
    a.last = apr_longs_right_two(
        a.last, (uint32_t)wasm_i32x4_extract_lane(n, 2), (uint32_t)wasm_i32x4_extract_lane(n, 3));
    return a;
}

/* Each by its own n from 1 to 31; any other gives anything. */
static inline apr_places apr_places_right_each(apr_places a, apr_places n)
{
    return apr_places_high(a, apr_places_power(wasm_i32x4_sub(wasm_i32x4_const_splat(32), n)));
}

/* 32 bits of each from bit n on, each by its own n from 1 to 31; any other gives anything. */
static inline apr_places apr_longs_word(apr_longs a, apr_places n)
{
    const v128_t power = apr_places_power(wasm_i32x4_sub(wasm_i32x4_const_splat(32), n));
    const v128_t upper = wasm_i32x4_mul(apr_longs_high(a), power);
    return wasm_v128_or(upper, apr_places_high(apr_longs_low(a), power));
}

#endif

/* apr_columns.h: sums of codes with columns in the lanes of vectors, with SIMD128. */
#ifndef APR_COLUMNS_H
#define APR_COLUMNS_H

#include "apr_sums.h"

/* Eight codes of 8 bits, as 16. */
static inline apr_codes apr_columns_i16_of_i8(const int8_t *x)
{
    return wasm_i16x8_load8x8(x);
}

/* Eight codes of 16 bits. */
static inline apr_codes apr_columns_i16_of_i16(const int16_t *x)
{
    return wasm_v128_load(x);
}

/* Two products a sum. */
static inline apr_sums apr_columns_add_i16(apr_sums sums, apr_codes x, apr_codes weights)
{
    return apr_sums_add_i16(sums, x, weights);
}

/* Fetches what will be read. WebAssembly has no instruction for it. */
static inline void apr_columns_expect(const void *x, uint32_t bytes)
{
    (void)x;
    (void)bytes;
}

/* One product a sum. Weights have zeros above them, so what a code's sign puts there counts nothing. */
static inline apr_sums apr_sums_add_each_i16(apr_sums sums, apr_sums codes, const int16_t *weights)
{
    return apr_sums_add_i16(sums, codes, wasm_u32x4_load16x4(weights));
}

/* In the first lane; zeros in others. */
static inline apr_sums apr_sums_one(int32_t sum)
{
    return wasm_i32x4_replace_lane(wasm_i32x4_const_splat(0), 0, sum);
}

/* Of all lanes, modulo 2^32. */
static inline int32_t apr_sums_total(apr_sums sums)
{
    const v128_t two = wasm_i32x4_add(sums, wasm_i32x4_shuffle(sums, sums, 2, 3, 0, 1));
    return wasm_i32x4_extract_lane(wasm_i32x4_add(two, wasm_i32x4_shuffle(two, two, 1, 0, 3, 2)), 0);
}

#endif

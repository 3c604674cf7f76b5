/* apr_wide.h: what kernels for blocks of rows share, with AVX-512 (F, BW, DQ, VL). */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_lines.h"
#include "apr_mark.h"

#include <immintrin.h>

/* Lanes of 16 rows from `row` on that are among the first n_rows; row < n_rows. */
static inline __mmask16 apr_wide_rows(uint32_t row, uint32_t n_rows)
{
    const uint32_t left = n_rows - row;
    return (__mmask16)((left >= 16U) ? 0xFFFFU : ((1U << left) - 1U));
}

static inline uint32_t apr_wide_least(uint32_t first, uint32_t second)
{
    return (first < second) ? first : second;
}

/* Integers in the order of the floats, both zeros alike; `missing` in place of a NaN. That is chosen bit by bit: of a
 * masked move clang makes a masked load of a constant, which takes Zen 4 some hundred cycles as long as no row has a NaN
 * and nothing else has brought in the constant's page. */
static inline __m512i apr_wide_keys(__m512 values, __m512i missing)
{
    const __m512i bits = _mm512_castps_si512(_mm512_add_ps(values, _mm512_setzero_ps())); /* -0 + 0 = +0 */
    const __m512i flip = _mm512_srli_epi32(_mm512_srai_epi32(bits, 31), 1); /* all but the sign, of negative ones */
    const __m512i nan = _mm512_movm_epi32(_mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q));
    return _mm512_ternarylogic_epi32(nan, missing, _mm512_xor_si512(bits, flip), 0xCA); /* nan ? missing : key */
}

/* The same turned around, so that larger values have smaller keys, without a sign; 0 is below all. */
static inline __m512i apr_wide_falling(__m512i keys)
{
    return _mm512_xor_si512(keys, _mm512_set1_epi32(INT32_MAX));
}

/* One column of 16 rows: `lanes` are the places of their values from `x` on. */
static inline __m512 apr_wide_values(const float *x, __m512i lanes, __mmask16 rows)
{
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), rows, lanes, x, 4);
}

/* Their keys. */
static inline __m512i apr_wide_column(const float *x, __m512i lanes, __mmask16 rows, __m512i missing)
{
    return apr_wide_keys(apr_wide_values(x, lanes, rows), missing);
}

/* The same values, and in place of a NaN the infinity that `missing` has as a key. */
static inline __m512 apr_wide_known(__m512 values, __m512i missing)
{
    const __m512 sign = _mm512_and_ps(_mm512_castsi512_ps(missing), _mm512_set1_ps(-0.0F));
    const __m512 infinity = _mm512_or_ps(sign, _mm512_set1_ps(APR_INFINITY));
    return _mm512_mask_mov_ps(values, _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q), infinity);
}

/* Of 16 values, in which spans of a column they lie, the last of which is given: there a NaN lies, too. */
static inline __m512i apr_wide_spans(__m512 values, __m512 low, __m512 scale, __m512 last)
{
    const __m512 span = _mm512_mul_ps(_mm512_sub_ps(values, low), scale);
    return _mm512_cvttps_epi32(_mm512_max_ps(_mm512_min_ps(span, last), _mm512_setzero_ps()));
}

/* How many of 8 thresholds are below a key. */
static inline uint32_t apr_wide_below_8(const int32_t *thresholds, int32_t key)
{
    const __m256i all = _mm256_loadu_si256((const __m256i *)(const void *)thresholds);
    return (uint32_t)_mm_popcnt_u32((uint32_t)_mm256_cmpgt_epi32_mask(_mm256_set1_epi32(key), all));
}

/* How many of 16. */
static inline uint32_t apr_wide_below_16(const int32_t *thresholds, int32_t key)
{
    const __m512i all = _mm512_loadu_si512((const void *)thresholds);
    return (uint32_t)_mm_popcnt_u32((uint32_t)_mm512_cmpgt_epi32_mask(_mm512_set1_epi32(key), all));
}

/* How many of 32. */
static inline uint32_t apr_wide_below_32(const int32_t *thresholds, int32_t key)
{
    return apr_wide_below_16(&thresholds[0], key) + apr_wide_below_16(&thresholds[16], key);
}

/* Where the values of 16 rows of n values begin. */
static inline __m512i apr_wide_lanes(int32_t n)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_mullo_epi32(lane, _mm512_set1_epi32(n));
}

/* The line of x[i], which is read soon, wherever that is. */
static inline void apr_wide_ahead(const float *x, size_t i)
{
    _mm_prefetch((const char *)((uintptr_t)x + (4U * (uintptr_t)i)), _MM_HINT_T0);
}

/* 16 columns from `column` on of a row, or of the last one for those behind it; zeros for columns behind those of a row. */
static inline __m512 apr_wide_row(const float *x, uint32_t n, uint32_t column, uint32_t row, uint32_t n_rows)
{
    const uint32_t own = (row < n_rows) ? row : (n_rows - 1U);
    return _mm512_maskz_loadu_ps(apr_wide_rows(column, n), &x[((size_t)own * n) + column]);
}

/* Four rows to four columns, in each quarter. */
static inline void apr_wide_turned_quarters(__m512 rows[4])
{
    const __m512 low_0 = _mm512_unpacklo_ps(rows[0], rows[1]);
    const __m512 high_0 = _mm512_unpackhi_ps(rows[0], rows[1]);
    const __m512 low_2 = _mm512_unpacklo_ps(rows[2], rows[3]);
    const __m512 high_2 = _mm512_unpackhi_ps(rows[2], rows[3]);
    rows[0] = _mm512_shuffle_ps(low_0, low_2, 0x44);
    rows[1] = _mm512_shuffle_ps(low_0, low_2, 0xEE);
    rows[2] = _mm512_shuffle_ps(high_0, high_2, 0x44);
    rows[3] = _mm512_shuffle_ps(high_0, high_2, 0xEE);
}

/* Quarters of four columns, c, c + 4, c + 8 and c + 12, to columns. */
static inline void apr_wide_turned_columns(__m512 first, __m512 second, __m512 third, __m512 fourth, __m512 columns[4])
{
    const __m512 low_0 = _mm512_shuffle_f32x4(first, second, 0x44);
    const __m512 high_0 = _mm512_shuffle_f32x4(first, second, 0xEE);
    const __m512 low_8 = _mm512_shuffle_f32x4(third, fourth, 0x44);
    const __m512 high_8 = _mm512_shuffle_f32x4(third, fourth, 0xEE);
    columns[0] = _mm512_shuffle_f32x4(low_0, low_8, 0x88);
    columns[1] = _mm512_shuffle_f32x4(low_0, low_8, 0xDD);
    columns[2] = _mm512_shuffle_f32x4(high_0, high_8, 0x88);
    columns[3] = _mm512_shuffle_f32x4(high_0, high_8, 0xDD);
}

/* The same as vectors of columns c, c + 4, c + 8 and c + 12. */
static inline void apr_wide_columns_of(
    __m512 first, __m512 second, __m512 third, __m512 fourth, __m512 values[16][8], uint32_t c, uint32_t g)
{
    __m512 columns[4];
    apr_wide_turned_columns(first, second, third, fourth, columns);
    values[c][g] = columns[0];
    values[4U + c][g] = columns[1];
    values[8U + c][g] = columns[2];
    values[12U + c][g] = columns[3];
}

/* Of rows from `row` on, 16 columns of 16 rows, a row a vector, to a column a vector; the last row again for those behind
 * it, and zeros for columns behind those of a row. No loops: gcc keeps what they index in memory. */
static inline void apr_wide_turned(
    const float *x, uint32_t n, uint32_t column, uint32_t row, uint32_t n_rows, __m512 values[16][8], uint32_t g)
{
    __m512 a[4];
    __m512 b[4];
    __m512 c[4];
    __m512 d[4];
    a[0] = apr_wide_row(x, n, column, row, n_rows);
    a[1] = apr_wide_row(x, n, column, row + 1U, n_rows);
    a[2] = apr_wide_row(x, n, column, row + 2U, n_rows);
    a[3] = apr_wide_row(x, n, column, row + 3U, n_rows);
    apr_wide_turned_quarters(a);
    b[0] = apr_wide_row(x, n, column, row + 4U, n_rows);
    b[1] = apr_wide_row(x, n, column, row + 5U, n_rows);
    b[2] = apr_wide_row(x, n, column, row + 6U, n_rows);
    b[3] = apr_wide_row(x, n, column, row + 7U, n_rows);
    apr_wide_turned_quarters(b);
    c[0] = apr_wide_row(x, n, column, row + 8U, n_rows);
    c[1] = apr_wide_row(x, n, column, row + 9U, n_rows);
    c[2] = apr_wide_row(x, n, column, row + 10U, n_rows);
    c[3] = apr_wide_row(x, n, column, row + 11U, n_rows);
    apr_wide_turned_quarters(c);
    d[0] = apr_wide_row(x, n, column, row + 12U, n_rows);
    d[1] = apr_wide_row(x, n, column, row + 13U, n_rows);
    d[2] = apr_wide_row(x, n, column, row + 14U, n_rows);
    d[3] = apr_wide_row(x, n, column, row + 15U, n_rows);
    apr_wide_turned_quarters(d);
    apr_wide_columns_of(a[0], b[0], c[0], d[0], values, 0U, g);
    apr_wide_columns_of(a[1], b[1], c[1], d[1], values, 1U, g);
    apr_wide_columns_of(a[2], b[2], c[2], d[2], values, 2U, g);
    apr_wide_columns_of(a[3], b[3], c[3], d[3], values, 3U, g);
}

/* 16 rows of 16 words, a row a vector, to columns, a column a vector. */
static inline void apr_wide_turn(__m512 a[16])
{
    __m512 columns[4];
    apr_wide_turned_quarters(&a[0]);
    apr_wide_turned_quarters(&a[4]);
    apr_wide_turned_quarters(&a[8]);
    apr_wide_turned_quarters(&a[12]);
    APR_LOOP(apr_wide_turn_columns, 4U);
    for (uint32_t c = 0U; c < 4U; ++c) {
        APR_BODY(apr_wide_turn_columns, 4U);
        apr_wide_turned_columns(a[c], a[4U + c], a[8U + c], a[12U + c], columns);
        a[c] = columns[0];
        a[4U + c] = columns[1];
        a[8U + c] = columns[2];
        a[12U + c] = columns[3];
    }
}

/* Four columns of 64 bytes to words of four bytes, of rows 0 to 3 of each quarter, and of those behind them. */
static inline void apr_wide_words_of_bytes(__m512i a, __m512i b, __m512i c, __m512i d, __m512 words[4][16], uint32_t i)
{
    const __m512i low_ab = _mm512_unpacklo_epi8(a, b);
    const __m512i high_ab = _mm512_unpackhi_epi8(a, b);
    const __m512i low_cd = _mm512_unpacklo_epi8(c, d);
    const __m512i high_cd = _mm512_unpackhi_epi8(c, d);
    words[0][i] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(low_ab, low_cd));
    words[1][i] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(low_ab, low_cd));
    words[2][i] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(high_ab, high_cd));
    words[3][i] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(high_ab, high_cd));
}

/* Codes of a row, of 8 bits; with 16 as many as `n`, 32 or 64. */
static inline void apr_wide_row_u8(uint8_t *y, __m512i codes, uint32_t n)
{
    (void)n;
    _mm512_store_si512((void *)y, codes);
}

static inline void apr_wide_row_u16(uint16_t *y, __m512i codes, uint32_t n)
{
    _mm512_store_si512((void *)y, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(codes)));
    if (n > 32U) {
        _mm512_store_si512((void *)&y[32], _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(codes, 1)));
    }
}

static inline __m512i apr_wide_one_more(__m512i key, __m512i threshold, __m512i count)
{
    return _mm512_mask_add_epi32(count, _mm512_cmpgt_epi32_mask(key, threshold), count, _mm512_set1_epi32(1));
}

/* Falling keys, as far as those of groups. Of 32 sorted thresholds, a multiple of 2 * step is passed: `step` more where
 * the key is above the last of them. */
static inline __m512i apr_wide_step(__m512i key, __m512i passed, __m512i low, __m512i high, int32_t step)
{
    const __m512i next = _mm512_permutex2var_epi32(low, _mm512_or_si512(passed, _mm512_set1_epi32(step - 1)), high);
    return _mm512_mask_or_epi32(passed, _mm512_cmplt_epu32_mask(key, next), passed, _mm512_set1_epi32(step));
}

/* n: 4 or 8 vectors, here and below. */
static inline void apr_wide_steps(
    const __m512i key[8], __m512i passed[8], __m512i low, __m512i high, int32_t step, uint32_t n)
{
    passed[0] = apr_wide_step(key[0], passed[0], low, high, step);
    passed[1] = apr_wide_step(key[1], passed[1], low, high, step);
    passed[2] = apr_wide_step(key[2], passed[2], low, high, step);
    passed[3] = apr_wide_step(key[3], passed[3], low, high, step);
    if (n == 8U) {
        passed[4] = apr_wide_step(key[4], passed[4], low, high, step);
        passed[5] = apr_wide_step(key[5], passed[5], low, high, step);
        passed[6] = apr_wide_step(key[6], passed[6], low, high, step);
        passed[7] = apr_wide_step(key[7], passed[7], low, high, step);
    }
}

/* Of 31 sorted thresholds and a last one that no key is above, how many are below each key. */
static inline void apr_wide_groups(const __m512i key[8], __m512i passed[8], const uint32_t *thresholds, uint32_t n)
{
    const __m512i low = _mm512_load_si512((const void *)&thresholds[0]);
    const __m512i high = _mm512_load_si512((const void *)&thresholds[16]);
    const __m512i eight = _mm512_set1_epi32(8);
    const __m512i at_7 = _mm512_set1_epi32((int32_t)thresholds[7]);
    const __m512i at_15 = _mm512_set1_epi32((int32_t)thresholds[15]);
    const __m512i at_23 = _mm512_set1_epi32((int32_t)thresholds[23]);
    APR_LOOP(apr_wide_groups, 8U);
    for (uint32_t g = 0U; g < n; ++g) {
        APR_BODY(apr_wide_groups, 8U);
        __m512i first = _mm512_maskz_mov_epi32(_mm512_cmplt_epu32_mask(key[g], at_7), eight);
        first = _mm512_mask_add_epi32(first, _mm512_cmplt_epu32_mask(key[g], at_15), first, eight);
        passed[g] = _mm512_mask_add_epi32(first, _mm512_cmplt_epu32_mask(key[g], at_23), first, eight);
    }
    apr_wide_steps(key, passed, low, high, 4, n);
    apr_wide_steps(key, passed, low, high, 2, n);
    apr_wide_steps(key, passed, low, high, 1, n);
}

static inline __m512i apr_wide_one_more_falling(__m512i key, __m512i threshold, __m512i count)
{
    return _mm512_mask_add_epi32(count, _mm512_cmplt_epu32_mask(key, threshold), count, _mm512_set1_epi32(1));
}

/* One more where a key is above the threshold of the group that it has come to. */
static inline void apr_wide_counted(
    const __m512i key[8], const __m512i group[8], const uint32_t *thresholds, __m512i count[8], uint32_t n)
{
    const __m512i low = _mm512_load_si512((const void *)&thresholds[0]);
    const __m512i high = _mm512_load_si512((const void *)&thresholds[16]);
    count[0] = apr_wide_one_more_falling(key[0], _mm512_permutex2var_epi32(low, group[0], high), count[0]);
    count[1] = apr_wide_one_more_falling(key[1], _mm512_permutex2var_epi32(low, group[1], high), count[1]);
    count[2] = apr_wide_one_more_falling(key[2], _mm512_permutex2var_epi32(low, group[2], high), count[2]);
    count[3] = apr_wide_one_more_falling(key[3], _mm512_permutex2var_epi32(low, group[3], high), count[3]);
    if (n == 8U) {
        count[4] = apr_wide_one_more_falling(key[4], _mm512_permutex2var_epi32(low, group[4], high), count[4]);
        count[5] = apr_wide_one_more_falling(key[5], _mm512_permutex2var_epi32(low, group[5], high), count[5]);
        count[6] = apr_wide_one_more_falling(key[6], _mm512_permutex2var_epi32(low, group[6], high), count[6]);
        count[7] = apr_wide_one_more_falling(key[7], _mm512_permutex2var_epi32(low, group[7], high), count[7]);
    }
}

/* Of 64 codes below 256, bytes. Bytes of the first 32 rows and of the others take turns, so that leaves come out in order. */
static inline __m512i apr_wide_packed(const __m512i code[4])
{
    return _mm512_packus_epi32(_mm512_or_si512(code[0], _mm512_slli_epi32(code[2], 8)),
                               _mm512_or_si512(code[1], _mm512_slli_epi32(code[3], 8)));
}

/* Of 16 keys, the bits of those above their thresholds. */
static inline __mmask16 apr_wide_above(__m512i keys, const int32_t *thresholds)
{
    return _mm512_cmpgt_epi32_mask(keys, _mm512_load_si512((const void *)thresholds));
}

/* Bits of the splits of six levels whose codes are smaller than those that a row has for them. */
static inline uint64_t apr_wide_bits16(__m512i low, __m512i code_low, __m512i high, __m512i code_high)
{
    return (uint64_t)_mm512_cmpgt_epu16_mask(low, code_low) | ((uint64_t)_mm512_cmpgt_epu16_mask(high, code_high) << 32);
}

/* Half a line: the features of the splits below, in front of their codes. */
static inline __m512i apr_wide_half(const uint16_t *own)
{
    return _mm512_castsi256_si512(_mm256_load_si256((const __m256i *)(const void *)own));
}

/* Bits of the splits below whose codes are smaller than those that a row has for them. */
static inline uint64_t apr_wide_below16(__m512i met, const uint16_t *own)
{
    const __m256i code = _mm256_load_si256((const __m256i *)(const void *)&own[16]);
    return (uint64_t)_mm256_cmpgt_epu16_mask(_mm512_castsi512_si256(met), code);
}

/* The same where both fit in bytes: a quarter of a line each, as it stands for codes of 8 bits. */
static inline __m512i apr_wide_half_of_bytes(const uint8_t *own)
{
    return _mm512_castsi256_si512(_mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(const void *)own)));
}

static inline uint64_t apr_wide_below16_of_bytes(__m512i met, const uint8_t *own)
{
    const __m256i code = _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(const void *)&own[16]));
    return (uint64_t)_mm256_cmpgt_epu16_mask(_mm512_castsi512_si256(met), code);
}

/* With codes of 8 bits: a quarter of a line. */
static inline __m512i apr_wide_quarter(const uint8_t *own)
{
    return _mm512_castsi128_si512(_mm_load_si128((const __m128i *)(const void *)own));
}

static inline uint64_t apr_wide_below8(__m512i met, const uint8_t *own)
{
    const __m128i code = _mm_load_si128((const __m128i *)(const void *)&own[16]);
    return (uint64_t)_mm_cmpgt_epu8_mask(_mm512_castsi512_si128(met), code);
}

/* Of 64 codes, the bits of those above the limit. */
static inline __mmask64 apr_wide_right(const uint8_t *codes, __m512i limit)
{
    return _mm512_cmpgt_epu8_mask(_mm512_load_si512((const void *)codes), limit);
}

/* 0 to 31. */
static inline __m512i apr_wide_words(void)
{
    const __m512i pairs = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_or_si512(pairs, _mm512_slli_epi32(_mm512_add_epi32(pairs, _mm512_set1_epi32(1)), 16));
}

/* Of the splits of a tree, those that are there: others have a code that no row is above. */
static inline uint64_t apr_wide_splits(const uint8_t *code, uint64_t all)
{
    const __m512i codes = _mm512_maskz_loadu_epi8((__mmask64)all, (const void *)code);
    return (uint64_t)_mm512_mask_cmpneq_epu8_mask((__mmask64)all, codes, _mm512_set1_epi8(-1));
}

/* The place of the lowest bit that is set; some are. */
static inline uint32_t apr_wide_first(uint64_t bits)
{
    return (uint32_t)__builtin_ctzll(bits);
}

/* Bit by bit, the first where the bit of `which` is set, else the second. */
static inline __m512i apr_wide_either(__m512i which, __m512i first, __m512i second)
{
    return _mm512_ternarylogic_epi64(which, first, second, 0xCA);
}

/* One level down in 32 rows: at is a place counted from the root, which is 1, bit `at` of `bits` says whether to go right. */
static inline __m512i apr_wide_down16(__m512i bits, __m512i at)
{
    const __m512i right = _mm512_srlv_epi16(bits, at);
    return _mm512_ternarylogic_epi64(_mm512_add_epi16(at, at), right, _mm512_set1_epi16(1), 0xF8);
}

/* The same in 8 or 16 rows, or trees of one row. */
static inline __m512i apr_wide_down64(__m512i bits, __m512i at)
{
    const __m512i right = _mm512_srlv_epi64(bits, at);
    return _mm512_ternarylogic_epi64(_mm512_add_epi64(at, at), right, _mm512_set1_epi64(1), 0xF8);
}

static inline __m512i apr_wide_down32(__m512i bits, __m512i at)
{
    const __m512i right = _mm512_srlv_epi32(bits, at);
    return _mm512_ternarylogic_epi32(_mm512_add_epi32(at, at), right, _mm512_set1_epi32(1), 0xF8);
}

/* Values of 16 classes, of which some may not be there. */
static inline __m512i apr_wide_values_int16_t(__mmask16 there, const int16_t *values)
{
    return _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(there, (const void *)values));
}

static inline __m512i apr_wide_values_int32_t(__mmask16 there, const int32_t *values)
{
    return _mm512_maskz_loadu_epi32(there, (const void *)values);
}

/* What stands in 8 fields of a word, each of so many bits, the first from bit `shift` on. */
static inline __m128i apr_wide_votes(uint64_t word, int32_t shift, int32_t bits)
{
    const __m512i lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i shifts = _mm512_add_epi64(_mm512_mullo_epi32(lane, _mm512_set1_epi32(bits)), _mm512_set1_epi64(shift));
    const __m512i fields = _mm512_srlv_epi64(_mm512_set1_epi64((int64_t)word), shifts);
    return _mm512_cvtepi64_epi16(_mm512_and_si512(fields, _mm512_set1_epi64((1 << bits) - 1)));
}

/* Codes of 16 rows to 8 bits. */
static inline void apr_wide_to_bytes(uint8_t *y, __m512i codes)
{
    _mm_store_si128((__m128i *)(void *)y, _mm512_cvtepi32_epi8(codes));
}

/* Of 32 numbers, the lower and the upper 16 bits. */
static inline __m512i apr_wide_low(__m512i first, __m512i second)
{
    return _mm512_permutex2var_epi16(first, _mm512_slli_epi16(apr_wide_words(), 1), second);
}

static inline __m512i apr_wide_high(__m512i first, __m512i second)
{
    const __m512i twice = _mm512_slli_epi16(apr_wide_words(), 1);
    return _mm512_permutex2var_epi16(first, _mm512_add_epi16(twice, _mm512_set1_epi16(1)), second);
}

#endif

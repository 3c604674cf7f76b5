/* apr_wide.h: what kernels for blocks of rows include where they are portable C. */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_lines.h"

/* Keys of one column of the first 4 of n rows that are `stride` floats apart; `missing` in place of a NaN's. */
static inline void apr_wide_column(const float *x, uint32_t stride, uint32_t n, int32_t missing, int32_t keys[4])
{
    APR_LOOP(apr_wide_column_rows, 4U);
    for (uint32_t row = 0U; (row < 4U) && (row < n); ++row) {
        APR_BODY(apr_wide_column_rows, 4U);
        const int32_t key = apr_float_key(x[row * stride]);
        keys[row] = (key == INT32_MAX) ? missing : key;
    }
}

/* How many of 4 thresholds are below a key. */
static inline uint32_t apr_wide_below_4(const int32_t *thresholds, int32_t key)
{
    uint32_t n = 0U;
    APR_LOOP(apr_wide_below_four, 4U);
    for (uint32_t i = 0U; i < 4U; ++i) {
        APR_BODY(apr_wide_below_four, 4U);
        n += (thresholds[i] < key) ? 1U : 0U;
    }
    return n;
}

#endif

/* The upper 32 of the 48 bits of a product, floor(a * b / 2^16): one long multiplication on most cores. */
#ifndef APR_PRODUCT_H
#define APR_PRODUCT_H

#include <stdint.h>

static inline int32_t apr_product_upper(int32_t a, int16_t b)
{
    return (int32_t)(((int64_t)a * b) >> 16);
}

#endif

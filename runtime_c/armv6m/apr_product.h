/* The upper 32 of the 48 bits of a product, floor(a * b / 2^16), for cores that multiply 32 bits by 32 to 32: halves
 * of a, for b in [0, 2^15). The lower half's product is below 2^31, and floor(x + n) = floor(x) + n. */
#ifndef APR_PRODUCT_H
#define APR_PRODUCT_H

#include <stdint.h>

static inline int32_t apr_product_upper(int32_t a, int16_t b)
{
    const uint32_t lower = ((uint32_t)a & 0xFFFFU) * (uint32_t)b;
    return ((a >> 16) * b) + (int32_t)(lower >> 16);
}

#endif

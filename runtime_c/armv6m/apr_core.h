/* Integer arithmetic for cores that multiply 32 bits by 32 to 32 bits (Armv6-M). */
#ifndef APR_CORE_H
#define APR_CORE_H

#include <stdint.h>

/* The upper 32 of the 48 bits of a product, floor(a * b / 2^16), for b in [0, 2^15): by the halves of a. The lower
 * half's product is below 2^31, and floor(x + n) = floor(x) + n. */
static inline int32_t apr_product_upper(int32_t a, int16_t b)
{
    const uint32_t lower = ((uint32_t)a & 0xFFFFU) * (uint32_t)b;
    return ((a >> 16) * b) + (int32_t)(lower >> 16);
}

/* Cut to what 8 or 16 bits hold. */
static inline int32_t apr_saturated8(int32_t value)
{
    const int32_t low = (value < -128) ? -128 : value;
    return (low > 127) ? 127 : low;
}

static inline int32_t apr_saturated16(int32_t value)
{
    const int32_t low = (value < -32768) ? -32768 : value;
    return (low > 32767) ? 32767 : low;
}

#endif

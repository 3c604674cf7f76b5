/* apr_fused.h: a product that is added with one rounding for both, by one instruction; for targets that have it. */
#ifndef APR_FUSED_H
#define APR_FUSED_H

static inline float apr_add_product_fused(float sum, float x, float weight)
{
    return __builtin_fmaf(x, weight, sum);
}

#endif

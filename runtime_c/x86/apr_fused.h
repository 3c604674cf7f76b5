/* apr_fused.h: a product that is added with one rounding for both, by the instruction of FMA3. */
#ifndef APR_FUSED_H
#define APR_FUSED_H

#include <immintrin.h>

static inline float apr_add_product_fused(float sum, float x, float weight)
{
    return _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(x), _mm_set_ss(weight), _mm_set_ss(sum)));
}

#endif

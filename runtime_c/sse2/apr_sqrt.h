/* Square root of a float32 by the SSE instruction, which rounds correctly. */
#ifndef APR_SQRT_H
#define APR_SQRT_H

#include <xmmintrin.h>

static inline float apr_sqrtf(float x)
{
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

#endif

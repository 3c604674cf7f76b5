/* Square root of a float32 by the instruction of the Arm floating point units with single precision (VFPv2 and
 * later, all of Cortex-M4F to M55), which rounds correctly.
 * Assembly, because a compiler that keeps errno would call the library for __builtin_sqrtf. */
#ifndef APR_SQRT_H
#define APR_SQRT_H

static inline float apr_sqrtf(float x)
{
    float root;
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(x));
    return root;
}

#endif

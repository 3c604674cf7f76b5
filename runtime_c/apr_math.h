/* Elementary functions on float32 for generated code: exp, exp2, log, pow, tanh, sigmoid, GELU.
 *
 * C99, freestanding, integers inside: the functions take a float apart, work in fixed point and round once at the
 * end, so the bits are the same on every core with or without a floating point unit, and no library is called.
 * Only sigmoid and GELU use float operators, because their definition is a formula of rounded operations.
 * Every input takes the same operations; branches only choose among special values (NaN, infinity, range ends).
 *
 * Qn means an integer that stands for itself / 2^n. The error is |result - exact| in units of the spacing of floats
 * at the exact value (ulp), so a correctly rounded function has 0.500. The bounds are checked over all 2^32 floats
 * by accuracy/measure.c; bounds are given here in thousandths, the worst input found beside each function.
 *
 * Instructions per call, the most seen over a dozen ordinary inputs (gcc 12.2 -O2, call and libgcc included):
 *
 *                expf  exp2f  logf  tanhf  powf  sigmoidf  geluf  sqrtf
 *   Cortex-M4F     81     78   116    153   209        84    167      2   (armvfp/apr_sqrt.h)
 *   Cortex-M3      80     76   114    151   202       280    469    287
 *   Cortex-M0+    450    402   571    966  1004       917   1836    325
 */
#ifndef APR_MATH_H
#define APR_MATH_H

#include "apr_rt.h"

#define APR_EXPF_MAX_MILLIULP 510
#define APR_EXP2F_MAX_MILLIULP 510
#define APR_LOGF_MAX_MILLIULP 510
#define APR_POWF_MAX_MILLIULP 600
#define APR_TANHF_MAX_MILLIULP 530
#define APR_SIGMOIDF_MAX_MILLIULP 2550
#define APR_GELUF_MAX_MILLIULP 2000

/* ---- Integers -------------------------------------------------------------------------------------------------- */

/* High half of a product; Qa times Qb gives Q(a + b - 32), rounded down. */
static inline uint32_t apr_mulhi_u32(uint32_t a, uint32_t b)
{
    return (uint32_t)(((uint64_t)a * b) >> 32);
}

/* a * b / 2^n rounded towards minus infinity.
 * Deviation: >> of a negative value; every compiler we list shifts arithmetically. */
static inline int64_t apr_mulshift_s64(int64_t a, int64_t b, uint32_t n)
{
    return (a * b) >> n;
}

/* Zeros above the highest set bit; v must not be 0. Five halvings where the compiler has no instruction for it. */
static inline uint32_t apr_clz_u32(uint32_t v)
{
#if defined(__GNUC__)
    return (uint32_t)__builtin_clz(v);
#else
    uint32_t n = 0U;
    if (v < 0x10000U) {
        n += 16U;
        v <<= 16;
    }
    if (v < 0x1000000U) {
        n += 8U;
        v <<= 8;
    }
    if (v < 0x10000000U) {
        n += 4U;
        v <<= 4;
    }
    if (v < 0x40000000U) {
        n += 2U;
        v <<= 2;
    }
    return n + ((v < 0x80000000U) ? 1U : 0U);
#endif
}

static inline uint32_t apr_clz_u64(uint64_t v)
{
    const uint32_t high = (uint32_t)(v >> 32);
    return (high != 0U) ? apr_clz_u32(high) : (32U + apr_clz_u32((uint32_t)v));
}

/* ---- Powers of two --------------------------------------------------------------------------------------------- */

/* (2^f - 1) / f for f in [0, 1), both Q32: minimax polynomial, error 2^-32 before the roundings.
 * The last coefficient is 2 larger than the best one, to make up for six products rounded down.
 * The coefficients add up to 2^32 + 1 and each product loses at least 1, so the result is below 2^32 - 4 and
 * f times the result is below 1. */
static inline uint32_t apr_exp2_slope(uint32_t f)
{
    uint32_t r = 0x00015BD3U;
    r = 0x00099317U + apr_mulhi_u32(f, r);
    r = 0x0057BF1AU + apr_mulhi_u32(f, r);
    r = 0x02763464U + apr_mulhi_u32(f, r);
    r = 0x0E3589F8U + apr_mulhi_u32(f, r);
    r = 0x3D7F7BA6U + apr_mulhi_u32(f, r);
    return 0xB17217FBU + apr_mulhi_u32(f, r);
}

/* Bits of 2^t, t = p * 2^(e - 62), negative if `negative`; rounded to nearest, gradual underflow, infinity beyond.
 *   p  [2^62, 2^64), or smaller if e < -33
 * e is clamped: at 8 and above t is at least 256 and the result is infinity or 0; at -33 and below it is 1. */
static inline uint32_t apr_exp2_bits(uint64_t p, int32_t e, uint32_t negative)
{
    const int32_t e1 = (e > 8) ? 8 : ((e < -33) ? -33 : e);
    const int32_t drop = 30 - e1;
    const uint64_t t = p >> (uint32_t)drop; /* |t| in Q32, below 512 */
    const uint64_t limit = (negative != 0U) ? (UINT64_C(150) << 32) : (UINT64_C(128) << 32);
    if (t >= limit) {
        return (negative != 0U) ? 0U : 0x7F800000U;
    }
    const uint64_t biased = (UINT64_C(150) << 32) + ((negative != 0U) ? (UINT64_C(0) - t) : t);
    const uint32_t k = (uint32_t)(biased >> 32); /* floor(t) + 150, in [0, 277] */
    const uint32_t f = (uint32_t)biased;
    const uint32_t g = 0x80000000U + (apr_mulhi_u32(f, apr_exp2_slope(f)) >> 1); /* 2^f in Q31 */
    const uint32_t exponent = (k > 24U) ? (k - 24U) : 0U;
    const uint32_t shift = 7U + ((k < 24U) ? (24U - k) : 0U); /* up to 31 for the smallest subnormal */
    return (exponent << 23) + (((g >> shift) + 1U) >> 1);
}

/* Magnitude as a 24-bit integer, |x| = m * 2^(e - 150) with e = apr_math_exponent(x); exact for subnormals too. */
static inline uint32_t apr_math_mantissa(uint32_t bits)
{
    return (bits & 0x7FFFFFU) | (((bits & 0x7F800000U) != 0U) ? 0x800000U : 0U);
}

static inline int32_t apr_math_exponent(uint32_t bits)
{
    const uint32_t field = (bits >> 23) & 0xFFU;
    const int32_t e = (int32_t)field;
    return (e != 0) ? e : 1;
}

/* e^x. log2(e) has 40 bits, so that x * log2(e) is good to 2^-33 at the ends of the range.
 * Worst of all floats: 0.50840 ulp at 0x409B3443 (4.8501); 99.962 % correctly rounded. */
APR_LARGE float apr_expf(float x)
{
    const uint32_t bits = apr_bits(x);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
        return x;
    }
    const uint64_t p = apr_math_mantissa(bits) * UINT64_C(0xB8AA3B295C); /* log2(e) in Q39; p in Q62 */
    return apr_from_bits(apr_exp2_bits(p, apr_math_exponent(bits) - 127, bits >> 31));
}

/* 2^x. Worst of all floats: 0.50812 ulp at 0xB9CE5B10 (-0.00039359); 99.966 % correctly rounded. */
APR_LARGE float apr_exp2f(float x)
{
    const uint32_t bits = apr_bits(x);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
        return x;
    }
    const uint64_t p = (uint64_t)apr_math_mantissa(bits) << 39;
    return apr_from_bits(apr_exp2_bits(p, apr_math_exponent(bits) - 127, bits >> 31));
}

/* ---- Logarithms ------------------------------------------------------------------------------------------------ */

/* A logarithm: +-magnitude * 2^(exponent - 63), magnitude in [2^63, 2^64). */
typedef struct apr_math_log {
    uint64_t magnitude;
    int32_t exponent;
    uint32_t negative;
} apr_math_log;

/* log2 of a positive finite float other than 1, relative error below 2^-34 however close x is to 1.
 *
 * x = 2^k * v with v in [1, 2]. An eighth of that range has one short c near 1 / v; z = v * c - 1 is exact, and
 * log2 x = (k - log2 c) + log2(1 + z). Around 1 c is 1 (from below: 1/2), the bracket is 0 and nothing cancels.
 * log2(1 + z) = z * (log2 e - z * q(z)), |z| <= 1/16, q a minimax polynomial of degree 5, error 2^-32. */
static inline apr_math_log apr_log2_of(uint32_t bits)
{
    static const uint16_t c[9] = {256U, 228U, 205U, 186U, 171U, 158U, 146U, 137U, 128U}; /* Q8 */
    static const int64_t minus_log2_c[9] = {
        INT64_C(0),
        INT64_C(0x1563DC29FFACB2),
        INT64_C(0x2906CBCD2BAF2D),
        INT64_C(0x3AFCD815786AF2),
        INT64_C(0x4A83CF0D01C16E),
        INT64_C(0x591DB662B66426),
        INT64_C(0x67B3D42FD0FC4D),
        INT64_C(0x7373AF48DCE653),
        INT64_C(0x80000000000000),
    };
    uint32_t m = apr_math_mantissa(bits);
    const uint32_t shift = apr_clz_u32(m) - 8U; /* 0 but for subnormals */
    const int64_t k = apr_math_exponent(bits) - 127 - (int32_t)shift;
    m <<= shift;
    const uint32_t j = (m - 0x800000U + 0x80000U) >> 20;
    /* v * c is in [15/16, 17/16] in Q31: subtracting in two steps keeps both conversions inside int32. */
    const uint32_t vc = (m * c[j]) - 0x70000000U;
    const int32_t z = (int32_t)vc - 0x10000000;                         /* Q31, |z| <= 2^27 */
    const int32_t y = z * 16;                                           /* Q35: each step below loses 3 bits of scale */
    int32_t q = -0x33C3;                                                /* Q16 */
    q = 0x1EE32 + (int32_t)apr_mulshift_s64(y, q, 32U);                 /* Q19 */
    q = -0x1277A9 + (int32_t)apr_mulshift_s64(y, q, 32U);               /* Q22 */
    q = 0xB8AA18 + (int32_t)apr_mulshift_s64(y, q, 32U);                /* Q25 */
    q = -0x7B1C275 + (int32_t)apr_mulshift_s64(y, q, 32U);              /* Q28 */
    q = 0x5C551D95 + (int32_t)apr_mulshift_s64(y, q, 32U);              /* Q31, near 0.72 */
    const int64_t a = INT64_C(0xB8AA3B296) - apr_mulshift_s64(z, q, 27U); /* Q35, near 1.44: below 2^36 */
    const int64_t bracket = (k * INT64_C(0x80000000000000)) + minus_log2_c[j];              /* Q55 */
    const int64_t w = bracket + apr_mulshift_s64(z, a, (bracket != 0) ? 11U : 0U);          /* Q55, or Q66 */
    apr_math_log log2;
    log2.negative = (w < 0) ? (uint32_t)1U : (uint32_t)0U;
    const uint64_t magnitude = (w < 0) ? (UINT64_C(0) - (uint64_t)w) : (uint64_t)w;
    const uint32_t zeros = apr_clz_u64(magnitude);
    log2.magnitude = magnitude << zeros;
    log2.exponent = ((bracket != 0) ? 8 : -3) - (int32_t)zeros;
    return log2;
}

/* Bits of (g / 2^31) * 2^k, rounded to nearest; g in [2^31, 2^32), result normal. */
static inline uint32_t apr_math_pack(uint32_t g, int32_t k)
{
    const int32_t biased = k + 126;
    return ((uint32_t)biased << 23) + (((g >> 7) + 1U) >> 1);
}

/* ln x; -infinity at either zero, NaN below.
 * Worst of all floats: 0.50469 ulp at 0x2F697D53 (2.1236e-10); 99.863 % correctly rounded. */
APR_LARGE float apr_logf(float x)
{
    const uint32_t bits = apr_bits(x);
    if ((bits - 1U) >= 0x7F7FFFFFU) { /* zero, negative, infinite, NaN */
        if ((bits << 1) == 0U) {
            return apr_from_bits(0xFF800000U);
        }
        if ((bits << 1) > 0xFF000000U) {
            return x;
        }
        return (bits == 0x7F800000U) ? x : apr_from_bits(0x7FC00000U);
    }
    if (bits == 0x3F800000U) {
        return 0.0F;
    }
    const apr_math_log log2 = apr_log2_of(bits);
    uint64_t p = (log2.magnitude >> 32) * 0xB17217F8U; /* times ln 2 in Q32; p in [2^62, 2^64) */
    const uint32_t carry = (uint32_t)(p >> 63);
    const uint32_t room = 1U - carry;
    p <<= room;
    const uint32_t r = apr_math_pack((uint32_t)(p >> 32), log2.exponent - 1 + (int32_t)carry);
    return apr_from_bits(r | (log2.negative << 31));
}

/* ---- Power ----------------------------------------------------------------------------------------------------- */

/* 0: y is no integer, 1: odd, 2: even. y is finite and not 0. */
static inline uint32_t apr_math_parity(uint32_t magnitude)
{
    const uint32_t e = magnitude >> 23;
    if (e < 127U) {
        return 0U;
    }
    if (e > 150U) {
        return 2U;
    }
    const uint32_t m = apr_math_mantissa(magnitude);
    const uint32_t unit = UINT32_C(1) << (150U - e);
    if ((m & (unit - 1U)) != 0U) {
        return 0U;
    }
    return ((m & unit) != 0U) ? 1U : 2U;
}

/* x^y where x is 0, infinite or of magnitude 1, or y is 0 or infinite, or x < 0 has no real power: C99 annex F.9.4.4.
 * `sign` is that of the result. */
static inline uint32_t apr_pow_special(uint32_t x, uint32_t y, uint32_t sign)
{
    const uint32_t ax = x & 0x7FFFFFFFU;
    const uint32_t ay = y & 0x7FFFFFFFU;
    if ((ay == 0U) || (x == 0x3F800000U)) {
        return 0x3F800000U; /* even for NaN */
    }
    if ((ax > 0x7F800000U) || (ay > 0x7F800000U)) {
        return 0x7FC00000U;
    }
    if (ax == 0x3F800000U) {
        return ((ay == 0x7F800000U) || (apr_math_parity(ay) != 0U)) ? (0x3F800000U | sign) : 0x7FC00000U;
    }
    if ((ay == 0x7F800000U) || (ax == 0U) || (ax == 0x7F800000U)) {
        const uint32_t grows = (ax > 0x3F800000U) ? (uint32_t)1U : (uint32_t)0U;
        return ((grows ^ (y >> 31)) != 0U) ? (0x7F800000U | sign) : sign;
    }
    return 0x7FC00000U; /* x < 0, y no integer */
}

/* x^y with every special case of C. log2 x has a relative error below 2^-34; times y it is below 2^-26 where the
 * result overflows: at most 0.1 ulp more than a correctly rounded result.
 * Worst of 2^28 pairs (grid in accuracy/measure.c): 0.57082 ulp at 0x3F87B3D2, 0x44A3194B (1.0602, 1304.8);
 * 99.802 % correctly rounded. */
APR_LARGE float apr_powf(float x, float y)
{
    const uint32_t bx = apr_bits(x);
    const uint32_t by = apr_bits(y);
    const uint32_t ax = bx & 0x7FFFFFFFU;
    const uint32_t ay = by & 0x7FFFFFFFU;
    const uint32_t y_finite = ((ay != 0U) && (ay < 0x7F800000U)) ? (uint32_t)1U : (uint32_t)0U;
    const uint32_t parity = (y_finite != 0U) ? apr_math_parity(ay) : 2U;
    const uint32_t sign = (parity == 1U) ? (bx & 0x80000000U) : 0U;
    if ((y_finite == 0U) || ((ax - 1U) >= 0x7F7FFFFFU) || (ax == 0x3F800000U) || ((bx != ax) && (parity == 0U))) {
        return apr_from_bits(apr_pow_special(bx, by, sign));
    }
    const apr_math_log log2 = apr_log2_of(ax);
    const uint64_t p = apr_math_mantissa(by) * (log2.magnitude >> 24); /* 24 bits times 40 bits */
    const int32_t e = apr_math_exponent(by) - 127 + log2.exponent;
    return apr_from_bits(apr_exp2_bits(p, e, log2.negative ^ (by >> 31)) | sign);
}

/* ---- Hyperbolic tangent and its relatives ---------------------------------------------------------------------- */

/* 1 / d for d in [1, 2), both Q31: a line (error 1/17), then three Newton steps (1/289, 2^-16, 2^-31). */
static inline uint32_t apr_reciprocal_q31(uint32_t d)
{
    uint32_t r = 0xB4B4B4B5U - apr_mulhi_u32(d, 0x78787878U); /* 24/17 - 8/17 d */
    uint32_t step = 0U - (uint32_t)(((uint64_t)d * r) >> 31); /* 2 - d r */
    r = (uint32_t)(((uint64_t)r * step) >> 31);
    step = 0U - (uint32_t)(((uint64_t)d * r) >> 31);
    r = (uint32_t)(((uint64_t)r * step) >> 31);
    step = 0U - (uint32_t)(((uint64_t)d * r) >> 31);
    r = (uint32_t)(((uint64_t)r * step) >> 31);
    return r;
}

/* tanh x = (2^u - 1) / (2^u + 1), u = 2 |x| log2 e = k + f. Both are divided by 2^k: with h = 2^-k and
 * E = 2^f - 1 that is (E + 1 - h) / (E + 1 + h), in Q48, and for k = 0 the numerator is E, where nothing cancels.
 * Below 2^-12 x itself is the nearest float (x^3 / 3 is less than half an ulp); from 16 the result is 1.
 * Worst of all floats: 0.52445 ulp at 0x3AE64392 (0.0017568); 99.969 % correctly rounded. */
APR_LARGE float apr_tanhf(float x)
{
    const uint32_t bits = apr_bits(x);
    const uint32_t sign = bits & 0x80000000U;
    const uint32_t ax = bits ^ sign;
    if (ax < 0x39800000U) {
        return x;
    }
    if (ax >= 0x41800000U) {
        return (ax > 0x7F800000U) ? x : apr_from_bits(0x3F800000U | sign);
    }
    const uint64_t one = UINT64_C(1) << 48;
    const uint64_t u = (apr_math_mantissa(ax) * UINT64_C(0xB8AA3B295C)) >> (140U - (ax >> 23)); /* Q48, below 47 */
    const uint32_t f = (uint32_t)(u >> 16);
    const uint64_t slope = apr_exp2_slope(f);
    const uint64_t e = ((f * slope) >> 16) + (((u & 0xFFFFU) * slope) >> 32);
    const uint64_t h = one >> (uint32_t)(u >> 48);
    const uint64_t numerator = (e + one) - h;   /* [2^37, 2^49) */
    const uint64_t denominator = (e + one) + h; /* [2^48, 3 * 2^48) */
    const uint32_t halved = (uint32_t)(denominator >> 49);
    const uint32_t zeros = apr_clz_u64(numerator);
    const uint32_t n = (uint32_t)((numerator << zeros) >> 32);
    const uint32_t divisor_shift = 17U + halved;
    const uint32_t reciprocal = apr_reciprocal_q31((uint32_t)(denominator >> divisor_shift));
    const uint64_t p = (uint64_t)n * reciprocal; /* [2^61, 2^63) */
    const uint32_t high = (uint32_t)(p >> 62);
    const uint32_t result_shift = 30U + high;
    const uint32_t g = (uint32_t)(p >> result_shift);
    const int32_t k = 14 + (int32_t)high - (int32_t)zeros - (int32_t)halved;
    return apr_from_bits(apr_math_pack(g, k) | sign);
}

/* 1 / (1 + e^-x), three roundings, the same form for both signs.
 * Below -88.72 e^-x overflows and the result is 0 where the exact value is less than 2^-127; of all other floats
 * the worst is 2.48074 ulp at 0xC18515EC (-16.636); 94.820 % correctly rounded. The form, not apr_expf, costs this. */
static inline float apr_sigmoidf(float x)
{
    return 1.0F / (1.0F + apr_expf(-x));
}

/* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), one rounding per operation in this order.
 * The error is counted in ulp of x: for negative x the sum 1 + tanh cancels, in the definition as here.
 * Worst of all floats: 1.73545 ulp at 0x3F7FF76E (0.99987). */
static inline float apr_geluf(float x)
{
    const float cube = (x * x) * x;
    const float inner = 0x1.988452p-1F * (x + (0x1.6e4e26p-5F * cube));
    return (0.5F * x) * (1.0F + apr_tanhf(inner));
}

#endif

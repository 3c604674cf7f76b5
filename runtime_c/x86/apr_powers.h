/* apr_powers.h: exp, exp2 and tanh of vectors of floats, bit for bit those of apr_math.h, which has the formats, the
 * bounds and where they come from. Integers of 64 bits hold half of a vector's floats at a time. */
#ifndef APR_POWERS_H
#define APR_POWERS_H

#include "apr_maps.h"

/* The 24-bit integer of a float that is not subnormal. A subnormal one gets a bit too much, which none of the
 * functions below shows: it is too small to change their results. */
static inline apr_longs apr_longs_mantissa(apr_longs bits)
{
    return apr_longs_or(apr_longs_and(bits, apr_longs_all(0x7FFFFFU)), apr_longs_all(0x800000U));
}

static inline apr_longs apr_longs_field(apr_longs bits)
{
    return apr_longs_and(apr_longs_right(bits, 23U), apr_longs_all(0xFFU));
}

/* m * log2(e), Q39; m below 2^24. */
static inline apr_longs apr_longs_times_log2_e(apr_longs m)
{
    const apr_longs low = apr_longs_mul(m, apr_longs_all(0xAA3B295CU));
    return apr_longs_add(low, apr_longs_left(apr_longs_mul(m, apr_longs_all(0xB8U)), 32U));
}

/* As apr_exp2_slope(), of the low halves. */
static inline apr_longs apr_longs_exp2_slope(apr_longs f)
{
    apr_longs r = apr_longs_all(0x00015BD3U);
    r = apr_longs_add(apr_longs_all(0x00099317U), apr_longs_right(apr_longs_mul(f, r), 32U));
    r = apr_longs_add(apr_longs_all(0x0057BF1AU), apr_longs_right(apr_longs_mul(f, r), 32U));
    r = apr_longs_add(apr_longs_all(0x02763464U), apr_longs_right(apr_longs_mul(f, r), 32U));
    r = apr_longs_add(apr_longs_all(0x0E3589F8U), apr_longs_right(apr_longs_mul(f, r), 32U));
    r = apr_longs_add(apr_longs_all(0x3D7F7BA6U), apr_longs_right(apr_longs_mul(f, r), 32U));
    return apr_longs_add(apr_longs_all(0xB17217FBU), apr_longs_right(apr_longs_mul(f, r), 32U));
}

/* As apr_exp2_bits(), where `bits` are those of the float that p was made of. */
static inline apr_longs apr_longs_exp2_bits(apr_longs p, apr_longs bits)
{
    const apr_longs zero = apr_longs_all(0U);
    const apr_longs sign = apr_longs_right(bits, 31U);
    const apr_longs minus = apr_longs_sub(zero, sign); /* all ones below zero */
    apr_longs drop = apr_longs_sub(apr_longs_all(157U), apr_longs_field(bits));
    drop = apr_longs_if_above(drop, apr_longs_all(63U), apr_longs_all(63U), drop);
    drop = apr_longs_if_above(apr_longs_all(22U), drop, apr_longs_all(22U), drop);
    const apr_longs t = apr_longs_right_each(p, drop); /* |t| in Q32, below 2^42 */
    const apr_longs limit = apr_longs_add(
        apr_longs_all(UINT64_C(128) << 32), apr_longs_and(minus, apr_longs_all(UINT64_C(22) << 32)));
    const apr_longs signed_t = apr_longs_add(apr_longs_xor(t, minus), sign);
    const apr_longs biased = apr_longs_add(apr_longs_all(UINT64_C(150) << 32), signed_t);
    const apr_longs g = apr_longs_add(
        apr_longs_all(0x80000000U), apr_longs_right(apr_longs_mul(biased, apr_longs_exp2_slope(biased)), 33U));
    const apr_longs k = apr_longs_sub(apr_longs_right(biased, 32U), apr_longs_all(24U)); /* [-24, 253] */
    const apr_longs exponent = apr_longs_if_above(k, zero, k, zero);
    const apr_longs shift = apr_longs_sub(apr_longs_add(exponent, apr_longs_all(7U)), k);
    const apr_longs rounded = apr_longs_right(
        apr_longs_add(apr_longs_right_each(g, shift), apr_longs_all(1U)), 1U);
    const apr_longs inside = apr_longs_add(apr_longs_left(exponent, 23U), rounded);
    const apr_longs beyond = apr_longs_and(apr_longs_all(0x7F800000U), apr_longs_xor(minus, apr_longs_all(UINT64_MAX)));
    return apr_longs_if_above(limit, t, inside, beyond);
}

static inline apr_longs apr_longs_exp(apr_longs bits)
{
    return apr_longs_exp2_bits(apr_longs_times_log2_e(apr_longs_mantissa(bits)), bits);
}

static inline apr_floats apr_floats_exp(apr_floats x)
{
    const apr_floats y = apr_floats_joined(apr_longs_exp(apr_longs_even(x)), apr_longs_exp(apr_longs_odd(x)));
    return apr_floats_if_nan(x, x, y);
}

static inline apr_longs apr_longs_exp2(apr_longs bits)
{
    return apr_longs_exp2_bits(apr_longs_left(apr_longs_mantissa(bits), 39U), bits);
}

static inline apr_floats apr_floats_exp2(apr_floats x)
{
    const apr_floats y = apr_floats_joined(apr_longs_exp2(apr_longs_even(x)), apr_longs_exp2(apr_longs_odd(x)));
    return apr_floats_if_nan(x, x, y);
}

/* As apr_reciprocal_q31(), of the low halves. */
static inline apr_longs apr_longs_reciprocal(apr_longs d)
{
    apr_longs r = apr_longs_sub(
        apr_longs_all(0xB4B4B4B5U), apr_longs_right(apr_longs_mul(d, apr_longs_all(0x78787878U)), 32U));
    const apr_longs zero = apr_longs_all(0U);
    apr_longs step = apr_longs_sub(zero, apr_longs_right(apr_longs_mul(d, r), 31U));
    r = apr_longs_right(apr_longs_mul(r, step), 31U);
    step = apr_longs_sub(zero, apr_longs_right(apr_longs_mul(d, r), 31U));
    r = apr_longs_right(apr_longs_mul(r, step), 31U);
    step = apr_longs_sub(zero, apr_longs_right(apr_longs_mul(d, r), 31U));
    return apr_longs_right(apr_longs_mul(r, step), 31U);
}

/* As apr_tanhf(); what it computes where |x| is not in [2^-12, 16) is not taken. */
static inline apr_longs apr_longs_tanh(apr_longs bits)
{
    const apr_longs ax = apr_longs_and(bits, apr_longs_all(0x7FFFFFFFU));
    const apr_longs one = apr_longs_all(UINT64_C(1) << 48);
    const apr_longs u = apr_longs_right_each(
        apr_longs_times_log2_e(apr_longs_mantissa(ax)), apr_longs_sub(apr_longs_all(140U), apr_longs_field(ax)));
    const apr_longs f = apr_longs_right(u, 16U);
    const apr_longs slope = apr_longs_exp2_slope(f);
    const apr_longs rest = apr_longs_mul(apr_longs_and(u, apr_longs_all(0xFFFFU)), slope);
    const apr_longs e = apr_longs_add(apr_longs_right(apr_longs_mul(f, slope), 16U), apr_longs_right(rest, 32U));
    const apr_longs h = apr_longs_right_each(one, apr_longs_right(u, 48U));
    const apr_longs numerator = apr_longs_sub(apr_longs_add(e, one), h);   /* [2^37, 2^49) */
    const apr_longs denominator = apr_longs_add(apr_longs_add(e, one), h); /* [2^48, 3 * 2^48) */
    const apr_longs halved = apr_longs_right(denominator, 49U);
    const apr_longs highest = apr_longs_right(apr_longs_as_double(numerator), 52U); /* its place, from 1023 on */
    const apr_longs zeros = apr_longs_sub(apr_longs_all(1023U + 63U), highest);
    const apr_longs n = apr_longs_right(apr_longs_left_each(numerator, zeros), 32U);
    const apr_longs divisor = apr_longs_right_each(denominator, apr_longs_add(halved, apr_longs_all(17U)));
    const apr_longs p = apr_longs_mul(n, apr_longs_reciprocal(divisor)); /* [2^61, 2^63) */
    const apr_longs high = apr_longs_right(p, 62U);
    const apr_longs g = apr_longs_right_each(p, apr_longs_add(high, apr_longs_all(30U)));
    const apr_longs k = apr_longs_sub(apr_longs_add(high, apr_longs_all(14U + 126U)), apr_longs_add(zeros, halved));
    const apr_longs rounded = apr_longs_right(apr_longs_add(apr_longs_right(g, 7U), apr_longs_all(1U)), 1U);
    apr_longs r = apr_longs_add(apr_longs_left(k, 23U), rounded);
    r = apr_longs_if_above(ax, apr_longs_all(0x417FFFFFU), apr_longs_all(0x3F800000U), r);
    r = apr_longs_if_above(apr_longs_all(0x39800000U), ax, ax, r);
    r = apr_longs_if_above(ax, apr_longs_all(0x7F800000U), ax, r);
    return apr_longs_or(r, apr_longs_and(bits, apr_longs_all(0x80000000U)));
}

static inline apr_floats apr_floats_tanh(apr_floats x)
{
    return apr_floats_joined(apr_longs_tanh(apr_longs_even(x)), apr_longs_tanh(apr_longs_odd(x)));
}

#endif

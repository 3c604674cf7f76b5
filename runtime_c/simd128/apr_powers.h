/* apr_powers.h: exp, exp2 and tanh of vectors of floats, bit for bit those of apr_math.h, which has the formats, the
 * bounds and where they come from. Integers of 32 bits have a lane for each float, as those of 64 bits are dear here. */
#ifndef APR_POWERS_H
#define APR_POWERS_H

#include "apr_maps.h"

/* The 24-bit integer of a float that is not subnormal. A subnormal one gets a bit too much, which none of the
 * functions below shows: it is too small to change their results. */
static inline apr_places apr_places_mantissa(apr_places bits)
{
    return apr_places_or(apr_places_and(bits, apr_places_all(0x7FFFFF)), apr_places_all(0x800000));
}

static inline apr_places apr_places_field(apr_places bits)
{
    return apr_places_and(apr_places_right(bits, 23U), apr_places_all(0xFF));
}

/* m * log2(e), Q39; m below 2^24. */
static inline apr_longs apr_longs_times_log2_e(apr_places m)
{
    const apr_longs low = apr_longs_product(m, apr_places_all((int32_t)0xAA3B295CU));
    return apr_longs_add(low, apr_longs_raised(apr_places_mul(m, apr_places_all(0xB8))));
}

/* As apr_exp2_slope(). */
static inline apr_places apr_places_exp2_slope(apr_places f)
{
    apr_places r = apr_places_all(0x00015BD3);
    r = apr_places_add(apr_places_all(0x00099317), apr_places_high(f, r));
    r = apr_places_add(apr_places_all(0x0057BF1A), apr_places_high(f, r));
    r = apr_places_add(apr_places_all(0x02763464), apr_places_high(f, r));
    r = apr_places_add(apr_places_all(0x0E3589F8), apr_places_high(f, r));
    r = apr_places_add(apr_places_all(0x3D7F7BA6), apr_places_high(f, r));
    return apr_places_add(apr_places_all((int32_t)0xB17217FBU), apr_places_high(f, r));
}

/* As apr_exp2_bits(), where `bits` are those of the float that p was made of. */
static inline apr_floats apr_floats_exp2_of(apr_longs p, apr_places bits)
{
    const apr_places zero = apr_places_all(0);
    const apr_places sign = apr_places_right(bits, 31U);
    const apr_places minus = apr_places_sub(zero, sign); /* all ones below zero */
    apr_places drop = apr_places_sub(apr_places_all(157), apr_places_field(bits));
    drop = apr_places_max(apr_places_min(drop, apr_places_all(63)), apr_places_all(22));
    const apr_longs t = apr_longs_right_each(p, drop); /* |t| in Q32, below 2^42 */
    const apr_places part = apr_longs_low(t);
    const apr_places whole = apr_longs_high(t);
    /* 126 + t = k + f / 2^32. A t below zero counts one up where nothing is behind the point. */
    const apr_places f = apr_places_add(apr_places_xor(part, minus), sign);
    const apr_places up = apr_places_if_zero(part, sign, zero);
    const apr_places k = apr_places_add(apr_places_add(apr_places_all(126), apr_places_xor(whole, minus)), up);
    const apr_places limit = apr_places_add(apr_places_all(128), apr_places_and(minus, apr_places_all(22)));
    const apr_places g = apr_places_add(
        apr_places_all(INT32_MIN), apr_places_right(apr_places_high(f, apr_places_exp2_slope(f)), 1U));
    const apr_places exponent = apr_places_max(k, zero);
    const apr_places shift = apr_places_sub(apr_places_add(exponent, apr_places_all(7)), k); /* [7, 31] inside */
    const apr_places rounded = apr_places_right(
        apr_places_add(apr_places_right_each(g, shift), apr_places_all(1)), 1U);
    const apr_places inside = apr_places_add(apr_places_left(exponent, 23U), rounded);
    const apr_places beyond = apr_places_and(apr_places_all(0x7F800000), apr_places_sub(sign, apr_places_all(1)));
    return apr_floats_of(apr_places_if_less(whole, limit, inside, beyond));
}

static inline apr_floats apr_floats_exp(apr_floats x)
{
    const apr_places bits = apr_places_of(x);
    return apr_floats_if_nan(x, x, apr_floats_exp2_of(apr_longs_times_log2_e(apr_places_mantissa(bits)), bits));
}

static inline apr_floats apr_floats_exp2(apr_floats x)
{
    const apr_places bits = apr_places_of(x);
    const apr_longs p = apr_longs_raised(apr_places_left(apr_places_mantissa(bits), 7U));
    return apr_floats_if_nan(x, x, apr_floats_exp2_of(p, bits));
}

/* d * r in Q31. */
static inline apr_places apr_places_product_q31(apr_places d, apr_places r)
{
    return apr_longs_low(apr_longs_right(apr_longs_product(d, r), 31U));
}

/* As apr_reciprocal_q31(). */
static inline apr_places apr_places_reciprocal(apr_places d)
{
    const apr_places zero = apr_places_all(0);
    apr_places r = apr_places_sub(
        apr_places_all((int32_t)0xB4B4B4B5U), apr_places_high(d, apr_places_all(0x78787878)));
    r = apr_places_product_q31(r, apr_places_sub(zero, apr_places_product_q31(d, r)));
    r = apr_places_product_q31(r, apr_places_sub(zero, apr_places_product_q31(d, r)));
    return apr_places_product_q31(r, apr_places_sub(zero, apr_places_product_q31(d, r)));
}

/* As apr_tanhf(); what it computes where |x| is not in [2^-12, 16) is not taken. */
static inline apr_floats apr_floats_tanh(apr_floats x)
{
    const apr_places bits = apr_places_of(x);
    const apr_places ax = apr_places_and(bits, apr_places_all(INT32_MAX));
    const apr_longs one = apr_longs_all(UINT64_C(1) << 48);
    const apr_places drop = apr_places_sub(apr_places_all(140), apr_places_field(ax)); /* [10, 25] */
    const apr_longs product = apr_longs_times_log2_e(apr_places_mantissa(ax));
    const apr_places low = apr_longs_word(product, drop); /* of u */
    const apr_places upper = apr_places_right_each(apr_longs_high(product), drop);
    const apr_places rest = apr_places_and(low, apr_places_all(0xFFFF));
    const apr_places f = apr_places_or(apr_places_left(upper, 16U), apr_places_right(low, 16U));
    /* 2^-k of more than 31 changes no bit of 1. */
    const apr_places whole = apr_places_min(apr_places_right(upper, 16U), apr_places_all(31));
    const apr_places power = apr_places_power(apr_places_sub(apr_places_all(31), whole));
    const apr_places slope = apr_places_exp2_slope(f);
    const apr_longs less = apr_longs_of(apr_places_high(rest, slope));
    const apr_longs e = apr_longs_add(apr_longs_right(apr_longs_product(f, slope), 16U), less);
    const apr_longs h = apr_longs_product(power, apr_places_all(0x20000)); /* Q48 */
    const apr_longs numerator = apr_longs_sub(apr_longs_add(e, one), h);   /* [2^37, 2^49) */
    const apr_longs denominator = apr_longs_add(apr_longs_add(e, one), h); /* [2^48, 3 * 2^48) */
    const apr_places halved = apr_places_right(apr_longs_high(denominator), 17U);
    const apr_places highest = apr_places_highest(apr_longs_low(apr_longs_right(numerator, 18U))); /* [19, 30] */
    const apr_places n = apr_longs_word(numerator, apr_places_sub(highest, apr_places_all(13)));
    const apr_places divisor = apr_places_if_zero(
        halved, apr_longs_low(apr_longs_right(denominator, 17U)), apr_longs_low(apr_longs_right(denominator, 18U)));
    const apr_longs p = apr_longs_product(n, apr_places_reciprocal(divisor)); /* [2^61, 2^63) */
    const apr_places high = apr_places_right(apr_longs_high(p), 30U);
    const apr_places g = apr_places_if_zero(
        high, apr_longs_low(apr_longs_right(p, 30U)), apr_longs_low(apr_longs_right(p, 31U)));
    const apr_places k = apr_places_sub(apr_places_add(apr_places_add(high, highest), apr_places_all(95)), halved);
    const apr_places rounded = apr_places_right(apr_places_add(apr_places_right(g, 7U), apr_places_all(1)), 1U);
    apr_places r = apr_places_add(apr_places_left(k, 23U), rounded);
    r = apr_places_if_less(apr_places_all(0x417FFFFF), ax, apr_places_all(0x3F800000), r);
    r = apr_places_if_less(ax, apr_places_all(0x39800000), ax, r);
    r = apr_places_if_less(apr_places_all(0x7F800000), ax, ax, r);
    return apr_floats_of(apr_places_or(r, apr_places_and(bits, apr_places_all(INT32_MIN))));
}

#endif

/* apr_float_maps.h: functions of vectors of floats, bit for bit those of apr_math.h. exp, exp2 and tanh: apr_powers.h. */
#ifndef APR_FLOAT_MAPS_H
#define APR_FLOAT_MAPS_H

#include "apr_powers.h"

/* As apr_sigmoidf(). */
static inline apr_floats apr_floats_sigmoid(apr_floats x)
{
    const apr_floats one = apr_floats_all(1.0F);
    return apr_floats_div(one, apr_floats_add(one, apr_floats_exp(apr_floats_neg(x))));
}

/* As apr_geluf(). */
static inline apr_floats apr_floats_gelu(apr_floats x)
{
    const apr_floats cube = apr_floats_mul(apr_floats_mul(x, x), x);
    const apr_floats sum = apr_floats_add(x, apr_floats_mul(apr_floats_all(0x1.6e4e26p-5F), cube));
    const apr_floats inner = apr_floats_mul(apr_floats_all(0x1.988452p-1F), sum);
    const apr_floats outer = apr_floats_add(apr_floats_all(1.0F), apr_floats_tanh(inner));
    return apr_floats_mul(apr_floats_mul(apr_floats_all(0.5F), x), outer);
}

#endif

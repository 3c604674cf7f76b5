/* Runs the functions of a model on a block of records, with the stack painted before and scanned after.
 * Between the two there is no input or output, so what is found is the model's. */
#include "harness.h"

#define APR_PATTERN 0xA5C35A3CU
/* The painter spares its own frame and red zone; apr_repeat reaches below that before it calls anything. */
#define APR_SLACK 192U
#define APR_SPACER 512U

static uintptr_t painted_low; /* 0 until the first paint */

static APR_NOINLINE void apr_paint(uintptr_t low)
{
    volatile uint32_t here = 0U;
    const uintptr_t top = ((uintptr_t)&here - APR_SLACK) & ~(uintptr_t)3U;

    for (uintptr_t at = low; at < top; at += sizeof(uint32_t)) {
        *(volatile uint32_t *)at = APR_PATTERN;
    }
}

/* The stack above this function's frame has been used, so the search ends. */
static APR_NOINLINE uintptr_t apr_lowest_used(uintptr_t low)
{
    const volatile uint32_t *at = (const volatile uint32_t *)low;

    while (*at == APR_PATTERN) {
        ++at;
    }
    return (uintptr_t)at;
}

static APR_NOINLINE void apr_repeat(apr_call *call, apr_call_of_many *call_of_many, uint32_t n_records, uint32_t *out,
                                    uint32_t out_words)
{
    unsigned char spacer[APR_SPACER];
    const uint32_t *record = apr_in;

    APR_ESCAPES(spacer); /* or an optimiser would shrink it */
    spacer[0] = 0U;
    if (call_of_many != NULL) {
        call_of_many(record, n_records, out);
        n_records = 0U;
    }
    for (uint32_t i = 0U; i < n_records; ++i) {
        call(record, out);
        record += apr_record_words(record);
        out += out_words;
    }
    APR_ESCAPES(spacer);
}

uint32_t apr_block(uint32_t n_records)
{
    uint32_t *out = apr_out;

    if (painted_low == 0U) {
        painted_low = apr_stack_low();
        apr_paint(painted_low);
    }
    apr_paint(apr_lowest_used(painted_low)); /* reading the block may have used more than the model does */
    for (uint32_t f = 0U; f < apr_n_functions; ++f) {
        uintptr_t lowest[2];

        /* First the empty call, then the model: the same frames, so the difference is the model's own. */
        for (uint32_t pass = 0U; pass < 2U; ++pass) {
            apr_repeat((pass == 0U) ? apr_functions[f].nothing : apr_functions[f].call,
                       (pass == 0U) ? NULL : apr_functions[f].call_of_many, (pass == 0U) ? 1U : n_records, out, apr_functions[f].out_words);
            lowest[pass] = apr_lowest_used(painted_low);
            apr_paint(lowest[pass]);
        }
        if ((lowest[0] - lowest[1]) > apr_stack[2U * f]) {
            apr_stack[2U * f] = (uint32_t)(lowest[0] - lowest[1]);
        }
        apr_stack[(2U * f) + 1U] = (uint32_t)(lowest[0] - painted_low);
        out += n_records * apr_functions[f].out_words;
    }
    return (uint32_t)(out - apr_out);
}

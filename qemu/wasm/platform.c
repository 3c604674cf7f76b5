/* What the harness shows to a WebAssembly host: it writes records to apr_in and calls apr_block.
 * The stack lies at the start of memory (--stack-first), and only what needs an address is there. */
#include "harness.h"

#define APR_EXPORT(name) __attribute__((export_name(name)))

APR_EXPORT("apr_in_address") uint32_t *apr_in_address(void);
APR_EXPORT("apr_out_address") uint32_t *apr_out_address(void);
APR_EXPORT("apr_stack_address") uint32_t *apr_stack_address(void);
APR_EXPORT("apr_run_block") uint32_t apr_run_block(uint32_t n_records);

uint32_t *apr_in_address(void)
{
    return apr_in;
}

uint32_t *apr_out_address(void)
{
    return apr_out;
}

uint32_t *apr_stack_address(void)
{
    return apr_stack;
}

uint32_t apr_run_block(uint32_t n_records)
{
    return apr_block(n_records);
}

/* Not 0: that address is never painted, so that a null pointer stays one. */
uintptr_t apr_stack_low(void)
{
    return 64U;
}

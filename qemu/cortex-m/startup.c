/* Start of every Cortex-M: vector table, .data and .bss, and a fault handler that says what happened and ends. */
#include <stdint.h>

#include "semihost.h"

extern uint32_t apr_link_stack_top[];
extern uint32_t apr_link_data_load[];
extern uint32_t apr_link_data_start[];
extern uint32_t apr_link_data_end[];
extern uint32_t apr_link_bss_start[];
extern uint32_t apr_link_bss_end[];

void apr_cpu_start(void);
int apr_stream(void);
void Reset_Handler(void);
void apr_fault(void);
void apr_fault_report(const uint32_t *frame, uint32_t exception);

static void put_hex(const char *before, uint32_t value)
{
    char text[10];

    for (uint32_t i = 0U; i < 8U; ++i) {
        text[i] = "0123456789abcdef"[(value >> (28U - (4U * i))) & 15U];
    }
    text[8] = '\n';
    text[9] = '\0';
    apr_semihost_text(before);
    apr_semihost_text(text);
}

void apr_fault_report(const uint32_t *frame, uint32_t exception)
{
    put_hex("fault: exception 0x", exception);
    put_hex("at 0x", frame[6]);
    apr_semihost_exit(99);
}

__attribute__((naked)) void apr_fault(void)
{
    __asm__ volatile("mrs r0, msp\n\t"
                     "mrs r1, ipsr\n\t"
                     "bl apr_fault_report");
}

typedef void apr_vector(void);

/* The stack top, then the 15 system exceptions of every M profile; no interrupt is enabled. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack_top;
    apr_vector *handlers[15];
} vectors = {
    apr_link_stack_top,
    {Reset_Handler, apr_fault, apr_fault, apr_fault, apr_fault, apr_fault, apr_fault, apr_fault, apr_fault,
     apr_fault, apr_fault, apr_fault, apr_fault, apr_fault, apr_fault},
};

void Reset_Handler(void)
{
    const uint32_t *from = apr_link_data_load;

    apr_cpu_start();
    for (uint32_t *to = apr_link_data_start; to < apr_link_data_end; ++to) {
        *(volatile uint32_t *)to = *from;
        ++from;
    }
    for (uint32_t *to = apr_link_bss_start; to < apr_link_bss_end; ++to) {
        *(volatile uint32_t *)to = 0U;
    }
    apr_semihost_exit(apr_stream());
}

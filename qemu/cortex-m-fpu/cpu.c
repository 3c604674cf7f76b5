/* Opens the floating-point unit; until then any of its instructions faults. */
#include <stdint.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88U)
#define CPACR_CP10_CP11_FULL (0xFU << 20)

void apr_cpu_start(void);

void apr_cpu_start(void)
{
    CPACR |= CPACR_CP10_CP11_FULL;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

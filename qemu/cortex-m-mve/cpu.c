/* Opens the floating-point and vector unit of an Armv8.1-M core, switches tail predication off and low-overhead
 * loops on. QEMU runs without the last two; hardware is slow without them. */
#include <stdint.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88U)
#define CPACR_CP10_CP11_FULL (0xFU << 20)
#define CCR (*(volatile uint32_t *)0xE000ED14U)
#define CCR_LOB_BP (3U << 18)
#define FPSCR_LTPSIZE_NONE (4U << 16)

void apr_cpu_start(void);

void apr_cpu_start(void)
{
    CPACR |= CPACR_CP10_CP11_FULL;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    __asm__ volatile("vmsr fpscr, %0" ::"r"(FPSCR_LTPSIZE_NONE));
    CCR |= CCR_LOB_BP;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/* Start, faults, SysTick and semihosting of the board. Knows nothing of what runs on it. */
#include "board.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88U)
#define CPACR_FPU (0xFU << 20)
#define SYST_CSR (*(volatile uint32_t *)0xE000E010U)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014U)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018U)
#define SYST_RUN 7U /* processor clock, interrupt, enabled */

#define SYS_OPEN 0x01U
#define SYS_CLOSE 0x02U
#define SYS_WRITE0 0x04U
#define SYS_READ 0x06U
#define SYS_EXIT_EXTENDED 0x20U
#define OPEN_READ_BINARY 1U
#define NO_FILE 0xFFFFFFFFU
#define STOPPED_APPLICATION_EXIT 0x20026U
#define STATUS_FAULT 99

extern uint32_t link_stack_top[];
extern const uint32_t link_data_load[];
extern uint32_t link_data_start[];
extern uint32_t link_data_end[];
extern uint32_t link_bss_start[];
extern uint32_t link_bss_end[];

void Reset_Handler(void);
void board_fault(void);
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

#pragma weak board_tick = board_fault

typedef void board_vector(void);

/* Stack top, then the 15 exceptions of the core; SysTick is the last. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack_top;
    board_vector *handlers[15];
} vectors = {
    link_stack_top,
    {Reset_Handler, board_fault, board_fault, board_fault, board_fault, board_fault, board_fault, board_fault,
     board_fault, board_fault, board_fault, board_fault, board_fault, board_fault, board_tick},
};

void Reset_Handler(void)
{
    CPACR |= CPACR_FPU; /* before the first instruction of the FPU, which is why main is another function */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    const uint32_t *from = link_data_load;
    for (uint32_t *to = link_data_start; to < link_data_end; ++to) {
        *to = *from;
        ++from;
    }
    for (uint32_t *to = link_bss_start; to < link_bss_end; ++to) {
        *to = 0U;
    }
    board_exit(main());
}

void board_fault(void)
{
    board_print("fault\n");
    board_exit(STATUS_FAULT);
}

void board_start_ticks(uint32_t per_second)
{
    SYST_RVR = (BOARD_CLOCK_HZ / per_second) - 1U;
    SYST_CVR = 0U;
    SYST_CSR = SYST_RUN;
}

void board_stop_ticks(void)
{
    SYST_CSR = 0U;
}

void board_sleep_unless(const volatile uint32_t *flag)
{
    /* A pending interrupt ends WFI even while masked, so one that comes after the look is not slept through. */
    __asm__ volatile("cpsid i" ::: "memory");
    if (*flag == 0U) {
        __asm__ volatile("wfi" ::: "memory");
    }
    __asm__ volatile("cpsie i\n\tisb" ::: "memory");
}

static uint32_t semihost(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_print(const char *text)
{
    (void)semihost(SYS_WRITE0, text);
}

void board_exit(int status)
{
    const uint32_t block[2] = {STOPPED_APPLICATION_EXIT, (uint32_t)status};

    (void)semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

size_t board_read_file(const char *name, size_t name_length, void *data, size_t size)
{
    const uint32_t open[3] = {(uint32_t)name, OPEN_READ_BINARY, (uint32_t)name_length};
    const uint32_t file = semihost(SYS_OPEN, open);
    size_t n = 0U;

    if (file != NO_FILE) {
        const uint32_t read[3] = {file, (uint32_t)data, (uint32_t)size};
        n = size - semihost(SYS_READ, read);
        (void)semihost(SYS_CLOSE, &file);
    }
    return n;
}

/* A freestanding compiler still calls these. Compiled with -fno-tree-loop-distribute-patterns, or they call
 * themselves. */
void *memcpy(void *to, const void *from, size_t size)
{
    unsigned char *out = to;
    const unsigned char *in = from;

    for (size_t i = 0U; i < size; ++i) {
        out[i] = in[i];
    }
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    unsigned char *out = to;
    const unsigned char *in = from;

    if (out < in) {
        (void)memcpy(to, from, size);
    } else {
        for (size_t i = size; i > 0U; --i) {
            out[i - 1U] = in[i - 1U];
        }
    }
    return to;
}

void *memset(void *to, int value, size_t size)
{
    unsigned char *out = to;

    for (size_t i = 0U; i < size; ++i) {
        out[i] = (unsigned char)value;
    }
    return to;
}

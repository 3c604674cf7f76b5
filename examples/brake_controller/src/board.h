/* The board: an mps2-an386 (Cortex-M4F, 25 MHz) as QEMU emulates it, talked to by semihosting. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define BOARD_CLOCK_HZ 25000000U

/* The application has these two. */
int main(void);
void board_tick(void); /* once per period of board_start_ticks, as an interrupt */

void board_start_ticks(uint32_t per_second);
void board_stop_ticks(void);

/* Sleep until an interrupt, unless *flag is not 0 already: nothing is lost between the look and the sleep. */
void board_sleep_unless(const volatile uint32_t *flag);

void board_print(const char *text);
void board_exit(int status) __attribute__((noreturn));

#endif

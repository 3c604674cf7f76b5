/* The board: an mps2-an386 (Cortex-M4F, 25 MHz) as QEMU emulates it, talked to by semihosting. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

#define BOARD_CLOCK_HZ 25000000U

/* The application has these two. */
int main(void);
void board_tick(void); /* once per period of board_start_ticks, as an interrupt; without it, a tick is a fault */

void board_start_ticks(uint32_t per_second);
void board_stop_ticks(void);

/* Sleep until an interrupt, unless *flag is not 0 already: nothing is lost between the look and the sleep. */
void board_sleep_unless(const volatile uint32_t *flag);

void board_print(const char *text);
void board_exit(int status) __attribute__((noreturn));

/* The beginning of a file on the host, at most size bytes of it; 0 when there is none. */
size_t board_read_file(const char *name, size_t name_length, void *data, size_t size);

#endif

/* The board: an mps2-an386 (Cortex-M4F) as QEMU emulates it, talked to by semihosting. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

int main(void); /* the application's */

void board_print(const char *text);
void board_exit(int status) __attribute__((noreturn));

/* The beginning of a file on the host, at most size bytes of it; 0 when there is none. */
size_t board_read_file(const char *name, size_t name_length, char *data, size_t size);

#endif

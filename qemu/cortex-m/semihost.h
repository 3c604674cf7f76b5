/* Arm semihosting: the emulator does what the breakpoint asks. */
#ifndef APR_SEMIHOST_H
#define APR_SEMIHOST_H

#include <stdint.h>

void apr_semihost_text(const char *text);
void apr_semihost_exit(int status) __attribute__((noreturn));

#endif

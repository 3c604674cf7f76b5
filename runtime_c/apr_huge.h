/* apr_huge.h: for tables of a megabyte and more. They are spelled as text, which compilers read some ten times as fast as
 * numbers, in a union whose member `all` has the numbers. */
#ifndef APR_HUGE_H
#define APR_HUGE_H

#include "apr_rt.h"

#if defined(__BYTE_ORDER__) && (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
#error "tables of a megabyte and more are for little-endian machines"
#endif

/* Bytes behind which no zero is meant to stand; gcc asks from version 15 on. */
#if defined(__GNUC__) && !defined(__clang__) && (__GNUC__ >= 15)
#define APR_NO_TEXT __attribute__((nonstring))
#else
#define APR_NO_TEXT
#endif

#endif

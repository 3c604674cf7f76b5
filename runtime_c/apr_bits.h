/* apr_bits.h: lines of bits, a bit a row and a vector a line, by which splits find the rows that go right. Written with the
 * operators of C for vectors of any size; where there are operations of three vectors, the target has its own. */
#ifndef APR_BITS_H
#define APR_BITS_H

#include "apr_mark.h"
#include "apr_wide.h"

static inline apr_wide_line apr_wide_line_at(const uint8_t *lines)
{
    return *(const apr_wide_line *)(const void *)lines;
}

static inline void apr_wide_line_to(uint8_t *lines, apr_wide_line line)
{
    *(apr_wide_line *)(void *)lines = line;
}

static inline apr_wide_line apr_wide_no_row(void)
{
    return (apr_wide_line){0U};
}

static inline apr_wide_line apr_wide_every_row(void)
{
    return ~(apr_wide_line){0U};
}

/* The lines in front of those of columns, of no row but for the third one; where the others begin. */
static inline uint8_t *apr_wide_lines_begun(uint8_t *lines)
{
    apr_wide_line_to(&lines[0], apr_wide_no_row());
    apr_wide_line_to(&lines[sizeof(apr_wide_line)], apr_wide_no_row());
    apr_wide_line_to(&lines[2U * sizeof(apr_wide_line)], apr_wide_every_row());
    apr_wide_line_to(&lines[3U * sizeof(apr_wide_line)], apr_wide_no_row());
    return &lines[4U * sizeof(apr_wide_line)];
}

/* Which rows a split sends right: they have reached the line behind `reached`, or that one and their rest is above. Where
 * lines begin: of 16 bytes in bytes, longer ones in eighths, as an address of x86 can have eight times a number. */
static inline apr_wide_line apr_wide_met(const uint8_t *lines, size_t reached, size_t rest)
{
    const size_t each = (sizeof(apr_wide_line) > 16U) ? (sizeof(apr_wide_line) / 8U) : 1U;
    const uint8_t *const here = &lines[each * reached];
    const apr_wide_line above = apr_wide_line_at(&lines[each * rest]);
    return (apr_wide_line_at(here) & above) | apr_wide_line_at(&here[sizeof(apr_wide_line)]);
}

/* Of two vectors, the bits of the first whose places have a 1 at `shift` change places with those of the second that stand
 * `shift` below. apart: the second is zeros. */
static inline void apr_wide_exchanged(apr_wide_line *first, apr_wide_line *second, uint32_t shift, uint64_t low)
{
    const apr_wide_line other = ((*first >> shift) ^ *second) & low;
    *second ^= other;
    *first ^= other << shift;
}

static inline void apr_wide_apart(apr_wide_line *first, apr_wide_line *second, uint32_t shift, uint64_t low)
{
    *second = (*first >> shift) & low;
    *first &= low;
}

static inline void apr_wide_exchanged_1(apr_wide_line *first, apr_wide_line *second)
{
    apr_wide_exchanged(first, second, 1U, UINT64_C(0x5555555555555555));
}

static inline void apr_wide_exchanged_2(apr_wide_line *first, apr_wide_line *second)
{
    apr_wide_exchanged(first, second, 2U, UINT64_C(0x3333333333333333));
}

static inline void apr_wide_exchanged_4(apr_wide_line *first, apr_wide_line *second)
{
    apr_wide_exchanged(first, second, 4U, UINT64_C(0x0F0F0F0F0F0F0F0F));
}

static inline void apr_wide_apart_1(apr_wide_line *first, apr_wide_line *second)
{
    apr_wide_apart(first, second, 1U, UINT64_C(0x5555555555555555));
}

static inline void apr_wide_apart_2(apr_wide_line *first, apr_wide_line *second)
{
    apr_wide_apart(first, second, 2U, UINT64_C(0x3333333333333333));
}

static inline void apr_wide_apart_4(apr_wide_line *first, apr_wide_line *second)
{
    apr_wide_apart(first, second, 4U, UINT64_C(0x0F0F0F0F0F0F0F0F));
}

/* Lines of codes, bit by bit, whose lowest three bits are given: whether the rest by 8 is above 0, 1, ... 6. */
static inline void apr_wide_rests(uint8_t *lines, apr_wide_line one, apr_wide_line two, apr_wide_line four)
{
    apr_wide_line_to(&lines[0], one | two | four);
    apr_wide_line_to(&lines[sizeof(apr_wide_line)], two | four);
    apr_wide_line_to(&lines[2U * sizeof(apr_wide_line)], (one & two) | four);
    apr_wide_line_to(&lines[3U * sizeof(apr_wide_line)], four);
    apr_wide_line_to(&lines[4U * sizeof(apr_wide_line)], (one | two) & four);
    apr_wide_line_to(&lines[5U * sizeof(apr_wide_line)], two & four);
    apr_wide_line_to(&lines[6U * sizeof(apr_wide_line)], one & two & four);
}

/* Lines of whether codes have reached multiples of a number, between those that tell of its double: `bit` says which codes
 * have passed half of the way. The last line is zeros, and so are those that would stand behind. */
static inline void apr_wide_between(uint8_t *lines, uint32_t last, uint32_t step, apr_wide_line bit)
{
    APR_LOOP(apr_wide_between, APR_BY_ARGUMENT);
    for (uint32_t i = step; i < last; i += 2U * step) {
        APR_BODY(apr_wide_between, APR_BY_ARGUMENT);
        const uint32_t next = ((i + step) < last) ? (i + step) : last;
        const apr_wide_line below = apr_wide_line_at(&lines[sizeof(apr_wide_line) * (i - step)]);
        const apr_wide_line above = apr_wide_line_at(&lines[sizeof(apr_wide_line) * next]);
        apr_wide_line_to(&lines[sizeof(apr_wide_line) * i], above | (below & bit));
    }
}

#endif

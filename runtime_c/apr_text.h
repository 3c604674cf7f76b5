/* apr_text.h: UTF-8, white space, case folding, and strings sorted in constant memory.
 *
 * C99, freestanding. No string is copied: one is found by narrowing a span of candidates byte by byte. Every function
 * is safe on any bytes; what is no UTF-8 reads as APR_UTF8_BAD, one byte at a time. */
#ifndef APR_TEXT_H
#define APR_TEXT_H

#include "apr_rt.h"

#define APR_UTF8_BAD 0xFFFFFFFFU
#define APR_NO_STRING 0xFFFFFFFFU

/* The code point at *at, which moves behind it; *at < n. Refuses overlong forms, surrogates, and above U+10FFFF. What is
 * no UTF-8 is left as one byte: bytes behind a first one are read once for it and once for themselves, at most. */
static inline uint32_t apr_utf8_next(const uint8_t *text, size_t n, size_t *at)
{
    const uint32_t lead = text[*at];
    const size_t left = n - *at;
    uint32_t more = 0U;
    uint32_t smallest = 0U;
    uint32_t cp = lead;

    if (lead < 0x80U) {
        *at += 1U;
        return lead;
    }
    if ((lead >= 0xC2U) && (lead <= 0xDFU)) {
        APR_SPEND(apr_utf8_taken, 1U);
        more = 1U;
        smallest = 0x80U;
        cp = lead & 0x1FU;
    } else if ((lead >= 0xE0U) && (lead <= 0xEFU)) {
        APR_SPEND(apr_utf8_taken, 2U);
        more = 2U;
        smallest = 0x800U;
        cp = lead & 0x0FU;
    } else if ((lead >= 0xF0U) && (lead <= 0xF4U)) {
        APR_SPEND(apr_utf8_taken, 3U);
        more = 3U;
        smallest = 0x10000U;
        cp = lead & 0x07U;
    } else {
        more = 4U; /* no lead byte: longer than what is left, or refused below */
    }
    if ((more == 4U) || (left <= more)) {
        APR_SPEND(apr_utf8_bad, 1U);
        APR_REFUND(apr_utf8_taken, 3U);
        *at += 1U;
        return APR_UTF8_BAD;
    }
    APR_LOOP(apr_utf8_next, 3U);
    for (uint32_t i = 1U; i <= more; ++i) {
        APR_BODY(apr_utf8_next, 3U);
        APR_SPEND(apr_utf8_more, 1U);
        const uint32_t byte = text[*at + i];
        if ((byte & 0xC0U) != 0x80U) {
            APR_SPEND(apr_utf8_bad, 1U);
            APR_REFUND(apr_utf8_taken, 3U);
            *at += 1U;
            return APR_UTF8_BAD;
        }
        cp = (cp << 6) | (byte & 0x3FU);
    }
    if ((cp < smallest) || (cp > 0x10FFFFU) || ((cp >= 0xD800U) && (cp <= 0xDFFFU))) {
        APR_SPEND(apr_utf8_bad, 1U);
        APR_REFUND(apr_utf8_taken, 3U);
        *at += 1U;
        return APR_UTF8_BAD;
    }
    *at += (size_t)more + 1U;
    return cp;
}

/* 1 when the bytes are UTF-8. */
APR_LARGE int apr_utf8_valid(const char *utf8, size_t n)
{
    const uint8_t *text = (const uint8_t *)utf8;
    size_t at = 0U;
    APR_ALLOW(apr_utf8_taken, APR_PER_BYTE(2U, 0U));
    APR_ALLOW(apr_utf8_more, APR_PER_BYTE(2U, 0U));
    APR_LOOP(apr_utf8_valid, APR_PER_BYTE(2U, 0U));
    while (at < n) {
        APR_BODY(apr_utf8_valid, APR_PER_BYTE(2U, 0U));
        APR_SPEND(apr_utf8_taken, 1U);
        if (apr_utf8_next(text, n, &at) == APR_UTF8_BAD) {
            return 0;
        }
    }
    return 1;
}

/* Writes a code point and gives its length, 1 to 4; APR_UTF8_BAD becomes a byte that no string has. */
static inline uint32_t apr_utf8_put(uint32_t cp, uint8_t out[4])
{
    if (cp < 0x80U) {
        APR_SPEND(apr_utf8_put, 1U);
        out[0] = (uint8_t)cp;
        return 1U;
    }
    if (cp < 0x800U) {
        APR_SPEND(apr_utf8_put, 2U);
        out[0] = (uint8_t)(0xC0U | (cp >> 6));
        out[1] = (uint8_t)(0x80U | (cp & 0x3FU));
        return 2U;
    }
    if (cp < 0x10000U) {
        APR_SPEND(apr_utf8_put, 3U);
        out[0] = (uint8_t)(0xE0U | (cp >> 12));
        out[1] = (uint8_t)(0x80U | ((cp >> 6) & 0x3FU));
        out[2] = (uint8_t)(0x80U | (cp & 0x3FU));
        return 3U;
    }
    if (cp > 0x10FFFFU) {
        APR_SPEND(apr_utf8_bad, 1U);
        APR_SPEND(apr_utf8_put, 1U);
        out[0] = 0xFFU;
        return 1U;
    }
    APR_SPEND(apr_utf8_put, 4U);
    out[0] = (uint8_t)(0xF0U | (cp >> 18));
    out[1] = (uint8_t)(0x80U | ((cp >> 12) & 0x3FU));
    out[2] = (uint8_t)(0x80U | ((cp >> 6) & 0x3FU));
    out[3] = (uint8_t)(0x80U | (cp & 0x3FU));
    return 4U;
}

/* The 25 code points with the property White_Space, as in Rust; U+001C to U+001F are none. */
static inline int apr_is_space(uint32_t cp)
{
    if (cp < 0x80U) {
        return (cp == 0x20U) || ((cp >= 0x09U) && (cp <= 0x0DU));
    }
    return (cp == 0x85U) || (cp == 0xA0U) || (cp == 0x1680U) || ((cp >= 0x2000U) && (cp <= 0x200AU)) ||
           (cp == 0x2028U) || (cp == 0x2029U) || (cp == 0x202FU) || (cp == 0x205FU) || (cp == 0x3000U);
}

/* ASCII but for white space and control characters: the byte is a character, and no white space. */
static inline int apr_is_plain(uint8_t byte)
{
    return ((uint32_t)byte - 0x21U) < 0x5FU;
}

/* Bytes of the white space that begins at `at`, 0 to 3; at <= n. */
APR_LARGE size_t apr_space_at(const uint8_t *text, size_t n, size_t at)
{
    size_t after = at;
    if ((at >= n) || apr_is_plain(text[at])) {
        return 0U;
    }
    return apr_is_space(apr_utf8_next(text, n, &after)) ? (after - at) : 0U;
}

/* Bytes of the white space that ends at `at`, 0 to 3. */
static inline size_t apr_space_before(const uint8_t *text, size_t at)
{
    size_t size = 1U;
    if ((at > 0U) && apr_is_plain(text[at - 1U])) {
        return 0U;
    }
    APR_LOOP(apr_space_before, 2U);
    while ((size < 3U) && (size < at) && ((text[at - size] & 0xC0U) == 0x80U)) {
        APR_BODY(apr_space_before, 2U);
        size += 1U;
    }
    return ((at > 0U) && (apr_space_at(text, at, at - size) == size)) ? size : 0U;
}

/* Strings in byte order, one after the other; offset[i] is where string i begins, offset[count] the end. */
typedef struct {
    const uint8_t *text;
    const uint16_t *offset16; /* one of the two is there */
    const uint32_t *offset32;
    uint32_t count;
} apr_strings;

/* Strings first to last - 1, which share their first `depth` bytes. */
typedef struct {
    uint32_t first;
    uint32_t last;
    uint32_t depth;
} apr_span;

static inline uint32_t apr_string_begin(const apr_strings *strings, uint32_t index)
{
    return (strings->offset16 != NULL) ? strings->offset16[index] : strings->offset32[index];
}

static inline apr_span apr_every_string(const apr_strings *strings)
{
    apr_span span;
    span.first = 0U;
    span.last = strings->count;
    span.depth = 0U;
    return span;
}

static inline apr_span apr_no_strings(void)
{
    apr_span span;
    span.first = 0U;
    span.last = 0U;
    span.depth = 0U;
    return span;
}

/* The first index in [first, last) whose byte at `depth` is at least `wanted`; a string that ends there counts as -1.
 * Halves the span: at most 17 steps, as there are fewer than 65,536 strings. */
static inline uint32_t apr_string_bound(const apr_strings *strings, apr_span span, int32_t wanted)
{
    uint32_t first = span.first;
    uint32_t last = span.last;
    APR_LOOP(apr_string_bound, 17U);
    while (first < last) {
        APR_BODY(apr_string_bound, 17U);
        APR_SPEND(apr_halvings, 1U);
        const uint32_t middle = first + ((last - first) / 2U);
        const uint32_t at = apr_string_begin(strings, middle) + span.depth;
        const int32_t byte = (at < apr_string_begin(strings, middle + 1U)) ? (int32_t)strings->text[at] : -1;
        if (byte < wanted) {
            first = middle + 1U;
        } else {
            last = middle;
        }
    }
    return first;
}

/* The strings of a span that have this byte next. */
static inline apr_span apr_narrow(const apr_strings *strings, apr_span span, uint8_t byte)
{
    if (span.first < span.last) {
        span.first = apr_string_bound(strings, span, (int32_t)byte);
        span.last = apr_string_bound(strings, span, (int32_t)byte + 1);
        span.depth += 1U;
    }
    return span;
}

/* The strings of a span that have these bytes next. */
APR_LARGE apr_span apr_narrow_bytes(const apr_strings *strings, apr_span span, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0U; (i < n) && (span.first < span.last); ++i) {
        APR_SPEND(apr_narrowed, 1U);
        span = apr_narrow(strings, span, bytes[i]);
    }
    return span;
}

/* The string that ends where the span's bytes end, or APR_NO_STRING. */
static inline uint32_t apr_complete(const apr_strings *strings, apr_span span)
{
    if (span.first >= span.last) {
        return APR_NO_STRING;
    }
    const uint32_t size = apr_string_begin(strings, span.first + 1U) - apr_string_begin(strings, span.first);
    return (size == span.depth) ? span.first : APR_NO_STRING;
}

/* A count and one more, as a float but without floating point; stops at 2^24. Below, a step is a bit of the mantissa
 * whose place the exponent tells, and a carry out of the mantissa makes the next power of two. */
static inline float apr_count_up(float count)
{
    const uint32_t bits = apr_bits(count);
    if (bits == 0U) {
        return 1.0F;
    }
    const uint32_t exponent = (bits >> 23) - 127U; /* 0 to 24 */
    return (exponent < 24U) ? apr_from_bits(bits + ((uint32_t)1U << (23U - exponent))) : count;
}

/* What happens to a code point before it is compared; only what can make a character of one set of strings.
 *   ranges  two words each: first code point (bits 0-20), how many follow (21-29), step (30-31: 0 all become one,
 *           1 all move by one distance, 2 every second one does); then what the first becomes. Sorted.
 *   kinds   two words each: first code point (bits 0-20), 1 ignorable or 2 cased (30-31); then the last. Sorted. */
typedef struct {
    const uint32_t *ranges;
    uint32_t n_ranges;
    const uint32_t *kinds;
    uint32_t n_kinds;   /* 0: a capital sigma is nothing special */
    uint32_t dotted_i;  /* 1: U+0130 becomes i and U+0307 */
} apr_folding;

/* Index of the last pair of words that begins at or before a code point; n when none does. */
static inline uint32_t apr_range_before(const uint32_t *words, uint32_t n, uint32_t cp)
{
    uint32_t first = 0U;
    uint32_t last = n;
    APR_LOOP(apr_range_before, 32U);
    while (first < last) {
        APR_BODY(apr_range_before, 32U);
        APR_SPEND(apr_searches, 1U);
        const uint32_t middle = first + ((last - first) / 2U);
        if ((words[2U * middle] & 0x1FFFFFU) <= cp) {
            first = middle + 1U;
        } else {
            last = middle;
        }
    }
    return (first > 0U) ? (first - 1U) : n;
}

/* Writes the UTF-8 of what a code point becomes and gives its length, 1 to 4. */
static inline uint32_t apr_fold(const apr_folding *folding, uint32_t cp, uint8_t out[4])
{
    const uint32_t i = apr_range_before(folding->ranges, folding->n_ranges, cp);
    if ((cp == 0x130U) && (folding->dotted_i != 0U)) {
        out[0] = 0x69U;
        out[1] = 0xCCU;
        out[2] = 0x87U;
        return 3U;
    }
    if (i < folding->n_ranges) {
        const uint32_t word = folding->ranges[2U * i];
        const uint32_t distance = cp - (word & 0x1FFFFFU);
        const uint32_t step = word >> 30;
        if ((distance <= ((word >> 21) & 0x1FFU)) && ((step != 2U) || ((distance & 1U) == 0U))) {
            APR_SPEND(apr_folded, 1U);
            cp = folding->ranges[(2U * i) + 1U] + ((step == 0U) ? 0U : distance);
        }
    }
    return apr_utf8_put(cp, out);
}

/* How a code point counts beside a capital sigma: 0 a boundary, 1 ignorable, 2 cased. */
static inline uint32_t apr_case_kind(const apr_folding *folding, uint32_t cp)
{
    const uint32_t i = apr_range_before(folding->kinds, folding->n_kinds, cp);
    if ((i < folding->n_kinds) && (cp <= folding->kinds[(2U * i) + 1U])) {
        return folding->kinds[2U * i] >> 30;
    }
    return 0U;
}

/* Folds as apr_fold, but tells a final sigma from others. `at` is behind the code point; `cased` says that a cased
 * letter stands before it. Looks ahead over ignorable characters only, and the next sigma is none of them: all looks
 * together read the text once. */
static inline uint32_t apr_fold_in_word(const apr_folding *folding, uint32_t cp, uint32_t cased, const uint8_t *text,
                                        size_t n, size_t at, uint8_t out[4])
{
    if ((cp == 0x3A3U) && (folding->n_kinds > 0U)) {
        uint32_t next = (cased != 0U) ? (uint32_t)1U : (uint32_t)2U; /* as if a cased letter followed: not final */
        while ((next == 1U) && (at < n)) {
            APR_SPEND(apr_fold_in_word, 1U);
            APR_SPEND(apr_utf8_taken, 1U);
            next = apr_case_kind(folding, apr_utf8_next(text, n, &at));
        }
        return apr_utf8_put((next == 2U) ? 0x3C3U : 0x3C2U, out);
    }
    return apr_fold(folding, cp, out);
}

/* Whether a cased letter stands before what follows this code point. */
static inline uint32_t apr_cased_after(const apr_folding *folding, uint32_t cp, uint32_t cased)
{
    const uint32_t kind = apr_case_kind(folding, cp);
    return (kind == 1U) ? cased : (uint32_t)(kind == 2U);
}

#endif

/* apr_meta.c: numbers from MessagePack. See apr_meta.h. */
#include "apr_meta.h"

/* What one byte begins. */
typedef enum { APR_META_OTHER, APR_META_NUMBER, APR_META_TEXT, APR_META_MAP } apr_meta_kind;

typedef struct {
    apr_meta_kind kind;
    uint64_t value; /* of a number; bytes of a text; entries of a map */
    size_t body;    /* where what follows the head begins */
    uint64_t skip;  /* bytes of it that are no items */
    uint64_t items; /* in it: two for each entry of a map */
} apr_meta_item;

static uint64_t big_endian(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0U;
    for (size_t i = 0U; i < n; ++i) {
        value = (value << 8) | bytes[i];
    }
    return value;
}

/* How many bytes of size or value follow the first. */
static size_t length_bytes(uint8_t first)
{
    /* From 0xC4: bin, ext, f32, f64, u8 to u64, i8 to i64, fixext, str, array, map. */
    static const uint8_t after[28] = {1U, 2U, 4U, 1U, 2U, 4U, 4U, 8U, 1U, 2U, 4U, 8U, 1U, 2U,
                                      4U, 8U, 0U, 0U, 0U, 0U, 0U, 1U, 2U, 4U, 2U, 4U, 2U, 4U};
    return ((first >= 0xC4U) && (first <= 0xDFU)) ? (size_t)after[first - 0xC4U] : (size_t)0U;
}

/* The head at `at`; 0 when it does not lie in the bytes, or is the one that MessagePack leaves out. */
static int read_head(apr_meta_item *item, const uint8_t *bytes, size_t n, size_t at)
{
    if (at >= n) {
        return 0;
    }
    const uint8_t first = bytes[at];
    const size_t width = length_bytes(first);
    if ((first == 0xC1U) || (width >= (n - at))) {
        return 0;
    }
    const uint64_t size = big_endian(&bytes[at + 1U], width);
    item->kind = APR_META_OTHER;
    item->value = 0U;
    item->body = at + 1U + width;
    item->skip = 0U;
    item->items = 0U;
    if (first <= 0x7FU) {
        item->kind = APR_META_NUMBER;
        item->value = first;
    } else if ((first <= 0x8FU) || (first == 0xDEU) || (first == 0xDFU)) {
        item->kind = APR_META_MAP;
        item->value = (first <= 0x8FU) ? ((uint64_t)first & 15U) : size;
        item->items = 2U * item->value;
    } else if ((first <= 0x9FU) || (first == 0xDCU) || (first == 0xDDU)) {
        item->items = (first <= 0x9FU) ? ((uint64_t)first & 15U) : size;
    } else if ((first <= 0xBFU) || ((first >= 0xD9U) && (first <= 0xDBU))) {
        item->kind = APR_META_TEXT;
        item->value = (first <= 0xBFU) ? ((uint64_t)first & 31U) : size;
        item->skip = item->value;
    } else if ((first >= 0xCCU) && (first <= 0xCFU)) {
        item->kind = APR_META_NUMBER;
        item->value = size;
    } else if ((first >= 0xC4U) && (first <= 0xC6U)) {
        item->skip = size;
    } else if ((first >= 0xC7U) && (first <= 0xC9U)) {
        item->skip = size + 1U; /* and the type */
    } else if ((first >= 0xD4U) && (first <= 0xD8U)) {
        const uint64_t power = (uint64_t)first - 0xD4U;
        item->skip = ((uint64_t)1U << power) + 1U;
    } else {
        /* nil, truth values, floats, signed and negative numbers: nothing follows that was not read with the head */
    }
    return 1;
}

/* Where the item at `at` ends, all that is in it included; 0 when that is not in the bytes. */
static size_t end_of(const uint8_t *bytes, size_t n, size_t at)
{
    uint64_t left = 1U; /* items; fewer than 2^33 for each byte, so the sum does not overflow */
    size_t place = at;
    while (left > 0U) {
        apr_meta_item item;
        if ((read_head(&item, bytes, n, place) == 0) || (item.skip > (n - item.body))) {
            return 0U;
        }
        place = item.body + (size_t)item.skip;
        left += item.items;
        --left;
    }
    return place;
}

static int is_text(const apr_meta_item *item, const uint8_t *bytes, size_t n, const char *wanted)
{
    size_t i = 0U;
    if ((item->kind != APR_META_TEXT) || (item->skip > (n - item->body))) {
        return 0;
    }
    while ((i < item->value) && (wanted[i] != '\0') && (bytes[item->body + i] == (uint8_t)wanted[i])) {
        ++i;
    }
    return ((i == item->value) && (wanted[i] == '\0')) ? 1 : 0;
}

/* Where the value behind a key of the map at `at` is; 0 when it is not there exactly once. */
static size_t find(const uint8_t *bytes, size_t n, size_t at, const char *wanted)
{
    apr_meta_item item;
    size_t found = 0U;
    if ((read_head(&item, bytes, n, at) == 0) || (item.kind != APR_META_MAP)) {
        return 0U;
    }
    size_t place = item.body;
    for (uint64_t left = item.value; left > 0U; --left) {
        const size_t behind = end_of(bytes, n, place);
        if ((behind == 0U) || (read_head(&item, bytes, n, place) == 0)) {
            return 0U;
        }
        if (is_text(&item, bytes, n, wanted) == 1) {
            if (found != 0U) {
                return 0U;
            }
            found = behind;
        }
        place = end_of(bytes, n, behind);
        if (place == 0U) {
            return 0U;
        }
    }
    return found;
}

int apr_meta_number(const uint8_t *metadata, size_t n, const char *outer, const char *key, uint32_t *value)
{
    apr_meta_item item;
    const size_t map = find(metadata, n, 0U, outer);
    const size_t place = (map == 0U) ? (size_t)0U : find(metadata, n, map, key);
    if ((place == 0U) || (read_head(&item, metadata, n, place) == 0) || (item.kind != APR_META_NUMBER) ||
        (item.value > UINT32_MAX)) {
        return 0;
    }
    *value = (uint32_t)item.value;
    return 1;
}

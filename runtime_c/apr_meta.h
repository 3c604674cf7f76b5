/* apr_meta.h: single numbers from the metadata of an .apr file (MessagePack), such as a version that firmware compares.
 *
 * Reads what the signature covers: ask only for files that apr_file_verify has accepted. Nothing outside the bytes is
 * read, time is linear in n, and no depth of nesting takes more memory. */
#ifndef APR_META_H
#define APR_META_H

#include <stddef.h>
#include <stdint.h>

/* The number behind `key` in the map behind `outer`: 1, or 0 when there is none, more than one, or none from 0 to
 * 2^32 - 1. Keys end with a zero byte. For file.metadata, n is file.header.metadata_bytes; zero bytes may follow the
 * map there, as in native files. */
int apr_meta_number(const uint8_t *metadata, size_t n, const char *outer, const char *key, uint32_t *value);

#endif

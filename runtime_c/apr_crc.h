/* apr_crc.h: CRC-32 as in zlib (reflected 0xEDB88320). Special folders of targets hold others, which use instructions. */
#ifndef APR_CRC_H
#define APR_CRC_H

#include "apr_crc_table.h"

/* The checksum of what `crc` is the checksum of and of n more bytes; 0 is that of nothing. */
static inline uint32_t apr_crc32(uint32_t crc, const uint8_t *bytes, size_t n)
{
    return apr_crc32_by_table(crc, bytes, n);
}

#endif

/* apr_load.h: opens .apr files (version 1) on the device: framing, checksum, and where payload and signature lie.
 *
 * C99, freestanding, no heap. Sizes are known from the first 32 bytes, before anything else is read. Bytes come from
 * strangers: nothing is read outside them, and every call ends after one pass. What needs other people's code is a
 * callback: signatures (Ed25519) and unpacking (zstd, LZ4). Encrypted files are refused.
 *
 *     apr_header header;                            // how many bytes the file has, and how many it unpacks to
 *     apr_header_read(&header, first_32_bytes);
 *     apr_file file;
 *     apr_file_open(&file, bytes, n);               // checksum, framing
 *     apr_file_verify(&file, &services);            // signature, where there is one or must be one
 *     apr_file_view(&view, &file, buffer, size, &services);   // native payload: apr_view.h computes with it */
#ifndef APR_LOAD_H
#define APR_LOAD_H

#include "apr_view.h"

#define APR_HEADER_BYTES 32U
#define APR_CRC_BYTES 4U
#define APR_SIGNATURE_BYTES 64U
#define APR_KEY_BYTES 32U

#define APR_FLAG_ENCRYPTED 0x01U
#define APR_FLAG_SIGNED 0x02U
#define APR_FLAG_NATIVE 0x10U

/* Header byte 20. */
#define APR_PLAIN 0U
#define APR_ZSTD 1U      /* level 3 */
#define APR_ZSTD_MAX 2U  /* level 19; unpacked alike */
#define APR_LZ4 3U

typedef enum {
    APR_LOAD_OK = 0,
    APR_LOAD_E_TRUNCATED = 1,   /* fewer bytes than the header promises */
    APR_LOAD_E_MAGIC = 2,       /* no .apr file of version 1 */
    APR_LOAD_E_VERSION = 3,
    APR_LOAD_E_SIZE = 4,        /* sizes that contradict each other, or exceed the format's 1 GiB */
    APR_LOAD_E_CHECKSUM = 5,
    APR_LOAD_E_TRAILING = 6,    /* bytes that belong to nothing */
    APR_LOAD_E_COMPRESSION = 7, /* an unknown one, or one that no callback unpacks */
    APR_LOAD_E_ENCRYPTED = 8,
    APR_LOAD_E_SUITE = 9,       /* a cipher suite that this loader does not know */
    APR_LOAD_E_SIGNATURE = 10,  /* missing where one is required, or not that of a trusted key */
    APR_LOAD_E_BUFFER = 11,     /* too small for the unpacked payload, or not aligned to 8 bytes */
    APR_LOAD_E_FORM = 12,       /* the payload is no native one: convert the model with `aprgen convert --native` */
    APR_LOAD_E_PAYLOAD = 13     /* apr_view_open refuses it; file.view_status says why */
} apr_load_status;

/* The fields of a header. Sizes are claims until apr_file_open has seen the file. */
typedef struct {
    uint16_t model_type;
    uint8_t compression;
    uint8_t flags;
    uint8_t quality; /* 0: not validated */
    uint8_t suite;
    uint32_t metadata_bytes;
    uint32_t payload_bytes; /* as stored */
    uint32_t unpacked_bytes;
} apr_header;

/* Where the parts of a file lie. signature and key are NULL when the file is not signed. */
typedef struct {
    apr_header header;
    const uint8_t *bytes;
    size_t signed_bytes; /* header, metadata and payload: what a signature signs */
    const uint8_t *metadata;
    const uint8_t *payload;
    const uint8_t *signature;
    const uint8_t *key;
    apr_view_status view_status;
} apr_file;

/* What other code does; NULL for what the build leaves out. Both give 1 on success and 0 otherwise.
 *   verify  whether `key` is one that the device trusts, and `signature` its Ed25519 signature of the message
 *   unpack  exactly n_out bytes; `method` is APR_ZSTD, APR_ZSTD_MAX (one frame) or APR_LZ4 (the unpacked size in 4
 *           bytes, little-endian, then one raw block). apr_parts.h has both, from other people's code. */
typedef struct {
    void *context;
    int (*verify)(void *context, const uint8_t *message, size_t n, const uint8_t signature[64], const uint8_t key[32]);
    int (*unpack)(void *context, uint32_t method, const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out);
    uint32_t requires_signature; /* 1: an unsigned file is refused */
} apr_services;

/* The fields of the first 32 bytes, checked as far as they can be alone. */
apr_load_status apr_header_read(apr_header *header, const uint8_t *bytes, size_t n);

/* How many bytes the whole file has; more than 32 bits can hold in a file that lies. */
static inline uint64_t apr_header_file_bytes(const apr_header *header)
{
    const uint64_t block = ((header->flags & APR_FLAG_SIGNED) != 0U) ? (uint64_t)96U : (uint64_t)0U;
    return (uint64_t)APR_HEADER_BYTES + header->metadata_bytes + header->payload_bytes + block + APR_CRC_BYTES;
}

/* How large a buffer apr_file_view needs: 0 for a payload that is used where it lies. */
static inline size_t apr_header_buffer_bytes(const apr_header *header)
{
    return (header->compression == APR_PLAIN) ? (size_t)0U : (size_t)header->unpacked_bytes;
}

/* The parts of the n bytes of a file, checksum and framing included; nobody has verified a signature yet. */
apr_load_status apr_file_open(apr_file *file, const uint8_t *bytes, size_t n);

/* Whether the file may be trusted. Without services, or without their verify, signed files are as good as unsigned. */
apr_load_status apr_file_verify(const apr_file *file, const apr_services *services);

/* A view of the native payload: where it lies, or unpacked into the buffer, which must stay while the view is used.
 * Where it lies, the file's address must be a multiple of 8; give it 64 to have every table on a line of 64 bytes. */
apr_load_status apr_file_view(apr_view *view, apr_file *file, uint8_t *buffer, size_t n_buffer,
                              const apr_services *services);

/* All of it: opens, verifies and views. */
apr_load_status apr_load(apr_view *view, apr_file *file, const uint8_t *bytes, size_t n, uint8_t *buffer,
                         size_t n_buffer, const apr_services *services);

#endif

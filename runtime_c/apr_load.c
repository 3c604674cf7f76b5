/* apr_load.c: opens .apr files of version 1. See apr_load.h. */
#include "apr_load.h"

#include "apr_crc.h"

#define APR_MAX_UNPACKED 0x40000000U /* the format's own limit, 1 GiB */

static uint32_t word_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) | ((uint32_t)bytes[3] << 24);
}

apr_load_status apr_header_read(apr_header *header, const uint8_t *bytes, size_t n)
{
    apr_load_status status = APR_LOAD_OK;
    if (n < APR_HEADER_BYTES) {
        return APR_LOAD_E_TRUNCATED;
    }
    header->model_type = (uint16_t)((uint32_t)bytes[6] | ((uint32_t)bytes[7] << 8));
    header->metadata_bytes = word_at(&bytes[8]);
    header->payload_bytes = word_at(&bytes[12]);
    header->unpacked_bytes = word_at(&bytes[16]);
    header->compression = bytes[20];
    header->flags = bytes[21];
    header->quality = bytes[22];
    header->suite = bytes[23];
    if (word_at(bytes) != 0x4E525041U) { /* APRN */
        status = APR_LOAD_E_MAGIC;
    } else if (bytes[4] > 1U) {
        status = APR_LOAD_E_VERSION;
    } else if (header->unpacked_bytes > APR_MAX_UNPACKED) {
        status = APR_LOAD_E_SIZE;
    } else if (header->compression > APR_LZ4) {
        status = APR_LOAD_E_COMPRESSION;
    } else if (header->suite > 1U) {
        status = APR_LOAD_E_SUITE;
    } else if ((header->flags & APR_FLAG_ENCRYPTED) != 0U) {
        status = APR_LOAD_E_ENCRYPTED;
    } else if ((header->compression == APR_PLAIN) && (header->payload_bytes != header->unpacked_bytes)) {
        status = APR_LOAD_E_SIZE;
    } else {
        /* sound, as far as 32 bytes can tell */
    }
    return status;
}

apr_load_status apr_file_open(apr_file *file, const uint8_t *bytes, size_t n)
{
    const apr_load_status status = apr_header_read(&file->header, bytes, n);
    if (status != APR_LOAD_OK) {
        return status;
    }
    const uint64_t expected = apr_header_file_bytes(&file->header);
    if ((uint64_t)n < expected) {
        return APR_LOAD_E_TRUNCATED;
    }
    if ((uint64_t)n > expected) {
        return APR_LOAD_E_TRAILING;
    }
    if (apr_crc32(0U, bytes, n - APR_CRC_BYTES) != word_at(&bytes[n - APR_CRC_BYTES])) {
        return APR_LOAD_E_CHECKSUM;
    }
    file->bytes = bytes;
    file->metadata = &bytes[APR_HEADER_BYTES];
    file->payload = &file->metadata[file->header.metadata_bytes];
    file->signed_bytes = ((size_t)APR_HEADER_BYTES + file->header.metadata_bytes) + file->header.payload_bytes;
    file->signature = NULL;
    file->key = NULL;
    file->view_status = APR_VIEW_OK;
    if ((file->header.flags & APR_FLAG_SIGNED) != 0U) {
        file->signature = &bytes[file->signed_bytes];
        file->key = &file->signature[APR_SIGNATURE_BYTES];
    }
    return APR_LOAD_OK;
}

apr_load_status apr_file_verify(const apr_file *file, const apr_services *services)
{
    apr_load_status status = APR_LOAD_OK;
    if (services == NULL) {
        return APR_LOAD_OK;
    }
    if (file->signature == NULL) {
        status = (services->requires_signature != 0U) ? APR_LOAD_E_SIGNATURE : APR_LOAD_OK;
    } else if (services->verify != NULL) {
        const int holds =
            services->verify(services->context, file->bytes, file->signed_bytes, file->signature, file->key);
        status = (holds == 1) ? APR_LOAD_OK : APR_LOAD_E_SIGNATURE;
    } else {
        status = (services->requires_signature != 0U) ? APR_LOAD_E_SIGNATURE : APR_LOAD_OK;
    }
    return status;
}

apr_load_status apr_file_view(apr_view *view, apr_file *file, uint8_t *buffer, size_t n_buffer,
                              const apr_services *services)
{
    const apr_header *const header = &file->header;
    const uint8_t *payload = file->payload;
    if ((header->flags & APR_FLAG_NATIVE) == 0U) {
        return APR_LOAD_E_FORM;
    }
    if (header->compression != APR_PLAIN) {
        if ((services == NULL) || (services->unpack == NULL)) {
            return APR_LOAD_E_COMPRESSION;
        }
        if ((buffer == NULL) || (n_buffer < header->unpacked_bytes) ||
            (((uintptr_t)buffer % APR_VIEW_ALIGNMENT) != 0U)) {
            return APR_LOAD_E_BUFFER;
        }
        if (services->unpack(services->context, header->compression, payload, header->payload_bytes, buffer,
                             header->unpacked_bytes) != 1) {
            return APR_LOAD_E_COMPRESSION;
        }
        payload = buffer;
    }
    file->view_status = apr_view_open(view, payload, header->unpacked_bytes);
    return (file->view_status == APR_VIEW_OK) ? APR_LOAD_OK : APR_LOAD_E_PAYLOAD;
}

apr_load_status apr_load(apr_view *view, apr_file *file, const uint8_t *bytes, size_t n, uint8_t *buffer,
                         size_t n_buffer, const apr_services *services)
{
    apr_load_status status = apr_file_open(file, bytes, n);
    if (status == APR_LOAD_OK) {
        status = apr_file_verify(file, services);
    }
    if (status == APR_LOAD_OK) {
        status = apr_file_view(view, file, buffer, n_buffer, services);
    }
    return status;
}

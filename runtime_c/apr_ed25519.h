/* apr_ed25519.h: signatures of RFC 8032, "pure" Ed25519. The curve is code that the build takes from elsewhere, SHA-512
 * is here. Verifies only: there are no secrets, so time may depend on the data. */
#ifndef APR_ED25519_H
#define APR_ED25519_H

#include <stddef.h>
#include <stdint.h>

/* Whether the signature is the key's of the message: 1 or 0. A key of small order or a scalar that is not reduced never
 * verifies, although the equation may hold. */
int apr_ed25519_verify(const uint8_t *message, size_t n, const uint8_t signature[64], const uint8_t key[32]);

/* SHA-512 (FIPS 180-4), in pieces of any size; at most 2^61 - 1 bytes in all. */
typedef struct {
    uint64_t state[8];
    uint64_t n_bytes;
    uint8_t block[128];
} apr_sha512;

void apr_sha512_start(apr_sha512 *hash);
void apr_sha512_add(apr_sha512 *hash, const uint8_t *bytes, size_t n);
void apr_sha512_end(apr_sha512 *hash, uint8_t digest[64]);

#endif

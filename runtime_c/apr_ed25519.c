/* apr_ed25519.c: Ed25519 and SHA-512. See apr_ed25519.h. */
#include "apr_ed25519.h"

#include "monocypher.h"

static uint64_t rotated(uint64_t word, uint64_t n)
{
    return (word >> n) | (word << ((uint64_t)64U - n));
}

/* One block. The schedule's 80 words are computed in the place of their first 16. */
static void add_block(uint64_t state[8], const uint8_t block[128])
{
    /* Fractions of the cube roots of the first 80 primes. */
    static const uint64_t round_words[80] = {
        0x428A2F98D728AE22ULL, 0x7137449123EF65CDULL, 0xB5C0FBCFEC4D3B2FULL, 0xE9B5DBA58189DBBCULL,
        0x3956C25BF348B538ULL, 0x59F111F1B605D019ULL, 0x923F82A4AF194F9BULL, 0xAB1C5ED5DA6D8118ULL,
        0xD807AA98A3030242ULL, 0x12835B0145706FBEULL, 0x243185BE4EE4B28CULL, 0x550C7DC3D5FFB4E2ULL,
        0x72BE5D74F27B896FULL, 0x80DEB1FE3B1696B1ULL, 0x9BDC06A725C71235ULL, 0xC19BF174CF692694ULL,
        0xE49B69C19EF14AD2ULL, 0xEFBE4786384F25E3ULL, 0x0FC19DC68B8CD5B5ULL, 0x240CA1CC77AC9C65ULL,
        0x2DE92C6F592B0275ULL, 0x4A7484AA6EA6E483ULL, 0x5CB0A9DCBD41FBD4ULL, 0x76F988DA831153B5ULL,
        0x983E5152EE66DFABULL, 0xA831C66D2DB43210ULL, 0xB00327C898FB213FULL, 0xBF597FC7BEEF0EE4ULL,
        0xC6E00BF33DA88FC2ULL, 0xD5A79147930AA725ULL, 0x06CA6351E003826FULL, 0x142929670A0E6E70ULL,
        0x27B70A8546D22FFCULL, 0x2E1B21385C26C926ULL, 0x4D2C6DFC5AC42AEDULL, 0x53380D139D95B3DFULL,
        0x650A73548BAF63DEULL, 0x766A0ABB3C77B2A8ULL, 0x81C2C92E47EDAEE6ULL, 0x92722C851482353BULL,
        0xA2BFE8A14CF10364ULL, 0xA81A664BBC423001ULL, 0xC24B8B70D0F89791ULL, 0xC76C51A30654BE30ULL,
        0xD192E819D6EF5218ULL, 0xD69906245565A910ULL, 0xF40E35855771202AULL, 0x106AA07032BBD1B8ULL,
        0x19A4C116B8D2D0C8ULL, 0x1E376C085141AB53ULL, 0x2748774CDF8EEB99ULL, 0x34B0BCB5E19B48A8ULL,
        0x391C0CB3C5C95A63ULL, 0x4ED8AA4AE3418ACBULL, 0x5B9CCA4F7763E373ULL, 0x682E6FF3D6B2B8A3ULL,
        0x748F82EE5DEFB2FCULL, 0x78A5636F43172F60ULL, 0x84C87814A1F0AB72ULL, 0x8CC702081A6439ECULL,
        0x90BEFFFA23631E28ULL, 0xA4506CEBDE82BDE9ULL, 0xBEF9A3F7B2C67915ULL, 0xC67178F2E372532BULL,
        0xCA273ECEEA26619CULL, 0xD186B8C721C0C207ULL, 0xEADA7DD6CDE0EB1EULL, 0xF57D4F7FEE6ED178ULL,
        0x06F067AA72176FBAULL, 0x0A637DC5A2C898A6ULL, 0x113F9804BEF90DAEULL, 0x1B710B35131C471BULL,
        0x28DB77F523047D84ULL, 0x32CAAB7B40C72493ULL, 0x3C9EBE0A15C9BEBCULL, 0x431D67C49C100D4CULL,
        0x4CC5D4BECB3E42B6ULL, 0x597F299CFC657E2AULL, 0x5FCB6FAB3AD6FAECULL, 0x6C44198C4A475817ULL,
    };
    uint64_t schedule[16];
    uint64_t s[8];
    for (uint32_t i = 0U; i < 16U; ++i) {
        uint64_t word = 0U;
        for (uint32_t byte = 0U; byte < 8U; ++byte) {
            word = (word << 8) | block[(8U * i) + byte];
        }
        schedule[i] = word;
    }
    for (uint32_t i = 0U; i < 8U; ++i) {
        s[i] = state[i];
    }
    for (uint32_t i = 0U; i < 80U; ++i) {
        const uint64_t before = schedule[i & 15U];
        const uint64_t choice = s[6] ^ (s[4] & (s[5] ^ s[6]));
        const uint64_t majority = (s[0] & s[1]) | (s[2] & (s[0] | s[1]));
        const uint64_t mixed = rotated(s[4], 14U) ^ rotated(s[4], 18U) ^ rotated(s[4], 41U);
        const uint64_t first = s[7] + mixed + choice + round_words[i] + before;
        const uint64_t second = (rotated(s[0], 28U) ^ rotated(s[0], 34U) ^ rotated(s[0], 39U)) + majority;
        const uint64_t w1 = schedule[(i + 1U) & 15U];
        const uint64_t w14 = schedule[(i + 14U) & 15U];
        schedule[i & 15U] = before + (rotated(w1, 1U) ^ rotated(w1, 8U) ^ (w1 >> 7)) + schedule[(i + 9U) & 15U] +
                            (rotated(w14, 19U) ^ rotated(w14, 61U) ^ (w14 >> 6));
        for (uint32_t at = 7U; at > 0U; --at) {
            s[at] = s[at - 1U];
        }
        s[4] += first;
        s[0] = first + second;
    }
    for (uint32_t i = 0U; i < 8U; ++i) {
        state[i] += s[i];
    }
}

void apr_sha512_start(apr_sha512 *hash)
{
    /* Fractions of the square roots of the first 8 primes. */
    static const uint64_t beginning[8] = {
        0x6A09E667F3BCC908ULL, 0xBB67AE8584CAA73BULL, 0x3C6EF372FE94F82BULL, 0xA54FF53A5F1D36F1ULL,
        0x510E527FADE682D1ULL, 0x9B05688C2B3E6C1FULL, 0x1F83D9ABFB41BD6BULL, 0x5BE0CD19137E2179ULL,
    };
    hash->n_bytes = 0U;
    for (uint32_t i = 0U; i < 8U; ++i) {
        hash->state[i] = beginning[i];
    }
}

void apr_sha512_add(apr_sha512 *hash, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0U; i < n; ++i) {
        hash->block[hash->n_bytes & 127U] = bytes[i];
        ++hash->n_bytes;
        if ((hash->n_bytes & 127U) == 0U) {
            add_block(hash->state, hash->block);
        }
    }
}

void apr_sha512_end(apr_sha512 *hash, uint8_t digest[64])
{
    static const uint8_t one = 0x80U;
    static const uint8_t nothing = 0U;
    uint8_t length[16];
    uint64_t left = hash->n_bytes << 3; /* bits */
    for (uint32_t i = 0U; i < 16U; ++i) {
        length[15U - i] = (uint8_t)(left & 0xFFU);
        left >>= 8;
    }
    apr_sha512_add(hash, &one, 1U);
    while ((hash->n_bytes & 127U) != 112U) {
        apr_sha512_add(hash, &nothing, 1U);
    }
    apr_sha512_add(hash, length, 16U);
    for (uint32_t word = 0U; word < 8U; ++word) {
        left = hash->state[word];
        for (uint32_t i = 0U; i < 8U; ++i) {
            digest[(8U * word) + (7U - i)] = (uint8_t)(left & 0xFFU);
            left >>= 8;
        }
    }
}

/* Points whose order divides 8 have one of five y: 0, 1, -1 and two more. 255 bits hold two of them in two ways; the
 * sign, bit 255, does not count. */
static int has_small_order(const uint8_t key[32])
{
    static const uint8_t y[7][32] = {
        {0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U,
         0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U},
        {0x01U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U,
         0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U, 0x00U},
        {0xECU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU,
         0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0x7FU},
        {0xEDU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU,
         0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0x7FU},
        {0xEEU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU,
         0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0xFFU, 0x7FU},
        {0x26U, 0xE8U, 0x95U, 0x8FU, 0xC2U, 0xB2U, 0x27U, 0xB0U, 0x45U, 0xC3U, 0xF4U, 0x89U, 0xF2U, 0xEFU, 0x98U, 0xF0U,
         0xD5U, 0xDFU, 0xACU, 0x05U, 0xD3U, 0xC6U, 0x33U, 0x39U, 0xB1U, 0x38U, 0x02U, 0x88U, 0x6DU, 0x53U, 0xFCU, 0x05U},
        {0xC7U, 0x17U, 0x6AU, 0x70U, 0x3DU, 0x4DU, 0xD8U, 0x4FU, 0xBAU, 0x3CU, 0x0BU, 0x76U, 0x0DU, 0x10U, 0x67U, 0x0FU,
         0x2AU, 0x20U, 0x53U, 0xFAU, 0x2CU, 0x39U, 0xCCU, 0xC6U, 0x4EU, 0xC7U, 0xFDU, 0x77U, 0x92U, 0xACU, 0x03U, 0x7AU},
    };
    int found = 0;
    for (uint32_t point = 0U; point < 7U; ++point) {
        uint32_t differences = ((uint32_t)key[31] ^ y[point][31]) & 0x7FU;
        for (uint32_t i = 0U; i < 31U; ++i) {
            differences |= (uint32_t)key[i] ^ y[point][i];
        }
        if (differences == 0U) {
            found = 1;
        }
    }
    return found;
}

int apr_ed25519_verify(const uint8_t *message, size_t n, const uint8_t signature[64], const uint8_t key[32])
{
    apr_sha512 hash;
    uint8_t digest[64];
    uint8_t reduced[32];
    if (has_small_order(key) == 1) {
        return 0;
    }
    apr_sha512_start(&hash);
    apr_sha512_add(&hash, signature, 32U);
    apr_sha512_add(&hash, key, 32U);
    apr_sha512_add(&hash, message, n);
    apr_sha512_end(&hash, digest);
    crypto_eddsa_reduce(reduced, digest);
    return (crypto_eddsa_check_equation(signature, key, reduced) == 0) ? 1 : 0;
}

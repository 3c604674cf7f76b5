"""Every algorithm of the cipher suites against the vectors that its standard, or the body behind it, publishes."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aprgen.container import openssl, sodium
from aprgen.container.hkdf import derive
from aprgen.container.openssl import P384_ORDER
from tests.container.vectors import vectors

# Encodings of the points of order 1, 2, 4 and 8 of Edwards25519, among them two that are not canonical.
LOW_ORDER_ED25519 = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)
# u coordinates of low order on Curve25519 and its twist, RFC 7748, section 6.1, and their forms above the prime.
LOW_ORDER_X25519 = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


@pytest.mark.parametrize("case", vectors("ed25519")["cases"])
def test_ed25519(case: dict[str, bytes]) -> None:
    """RFC 8032: key, signature and verification; a changed message does not verify."""
    assert case["public"] == sodium.ed25519_public(case["seed"])
    assert case["signature"] == sodium.ed25519_sign(case["seed"], case["message"])
    assert sodium.ed25519_key_is_sound(case["public"])
    assert openssl.ed25519_verify(case["public"], case["signature"], case["message"])
    assert not openssl.ed25519_verify(case["public"], case["signature"], case["message"] + b"\0")


def test_ed25519_signature_has_one_form() -> None:
    """S and S plus the order of the group would both fit; only the smaller is taken."""
    case = vectors("ed25519")["cases"][1]
    order = (1 << 252) + 27742317777372353535851937790883648493
    other = (int.from_bytes(case["signature"][32:], "little") + order).to_bytes(32, "little")

    assert not openssl.ed25519_verify(case["public"], case["signature"][:32] + other, case["message"])


@pytest.mark.parametrize("key", LOW_ORDER_ED25519)
def test_ed25519_low_order(key: str) -> None:
    """Keys of low order, for which one signature fits many messages, are no keys."""
    assert not sodium.ed25519_key_is_sound(bytes.fromhex(key))


@pytest.mark.parametrize("case", vectors("x25519")["cases"])
def test_x25519(case: dict[str, bytes]) -> None:
    """RFC 7748: the shared coordinate."""
    assert case["shared"] == sodium.x25519_agree(case["secret"], case["public"])


@pytest.mark.parametrize("key", LOW_ORDER_X25519)
def test_x25519_low_order(key: str) -> None:
    """No secret is shared with a point of low order."""
    assert sodium.x25519_agree(hashlib.sha256(b"any").digest(), bytes.fromhex(key)) is None


@pytest.mark.parametrize("case", vectors("argon2id")["cases"])
def test_argon2id(case: dict[str, bytes]) -> None:
    """The reference implementations' keys; with one lane both libraries give them."""
    cost = {"memory_kib": case["memory_kib"], "passes": case["passes"], "size": len(case["key"])}

    assert case["key"] == openssl.argon2id(case["password"], case["salt"], lanes=case["lanes"], **cost)  # type: ignore[arg-type]


def test_argon2id_of_the_rfc() -> None:
    """RFC 9106, section 5.3, has a secret and associated data, which no .apr file has: the library under ours."""
    case = vectors("argon2id")["rfc9106"]
    derived = Argon2id(
        salt=case["salt"], length=32, iterations=case["passes"], lanes=case["lanes"], memory_cost=case["memory_kib"],
        ad=case["bound"], secret=case["secret"],
    ).derive(case["password"])  # fmt: skip

    assert case["key"] == derived


@pytest.mark.parametrize(("memory_kib", "passes"), [(19_456, 2), (8, 1), (64, 5)])
def test_argon2id_with_one_lane(memory_kib: int, passes: int) -> None:
    """libsodium and OpenSSL give the same key."""
    ours = sodium.argon2id(b"password", bytes(16), memory_kib=memory_kib, passes=passes, size=32)

    assert openssl.argon2id(b"password", bytes(16), memory_kib=memory_kib, passes=passes, lanes=1, size=32) == ours


@pytest.mark.parametrize("case", vectors("aes256_gcm")["cases"])
def test_aes_256_gcm(case: dict[str, bytes]) -> None:
    """NIST CAVP: sealed, and opened again."""
    key, nonce, bound = case["key"], case["nonce"], case["bound"]

    assert case["sealed"] == openssl.aes_gcm_seal(key, nonce, case["plain"], bound)
    assert case["plain"] == openssl.aes_gcm_open(key, nonce, case["sealed"], bound)
    assert openssl.aes_gcm_open(key, nonce, case["sealed"], bound + b"\0") is None


@pytest.mark.parametrize("case", vectors("aes256_gcm")["refused"])
def test_aes_256_gcm_refuses(case: dict[str, bytes]) -> None:
    """NIST CAVP: what must not open."""
    assert openssl.aes_gcm_open(case["key"], case["nonce"], case["sealed"], case["bound"]) is None


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name in ("sha256", "sha384") for case in vectors(f"hkdf_{name}")["cases"]]
)
def test_hkdf(name: str, case: dict[str, bytes]) -> None:
    """RFC 5869, appendix A, for SHA-256; Wycheproof for SHA-384."""
    assert case["key"] == derive(name, case["secret"], case["info"], int(case["size"]), case["salt"])


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("sha256", hashes.SHA256()), ("sha384", hashes.SHA384()), ("sha3_256", hashes.SHA3_256())],
)
@pytest.mark.parametrize("size", [1, 32, 48, 100])
def test_hkdf_of_other_hashes(name: str, algorithm: hashes.HashAlgorithm, size: int) -> None:
    """Nobody publishes vectors for SHA3-256: for it, and for long infos, another implementation gives the same keys."""
    secret, info = hashlib.sha512(name.encode()).digest(), b"apr-v1-encrypt" + bytes(1200)

    assert HKDF(algorithm, size, None, info).derive(secret) == derive(name, secret, info, size)


@pytest.mark.parametrize("case", vectors("ml_dsa_65")["cases"])
def test_ml_dsa_65(case: dict[str, bytes]) -> None:
    """FIPS 204: the key of the seed, and the signature with its context."""
    public = openssl.ml_dsa_public(case["seed"])

    assert case["public"] == public
    assert openssl.ml_dsa_verify(public, case["signature"], case["message"], case["context"])
    assert not openssl.ml_dsa_verify(public, case["signature"], case["message"], b"")
    assert not openssl.ml_dsa_verify(public, case["signature"], case["message"] + b"\0", case["context"])
    changed = case["signature"][:-1] + bytes([case["signature"][-1] ^ 1])
    assert not openssl.ml_dsa_verify(public, changed, case["message"], case["context"])
    own = openssl.ml_dsa_sign(case["seed"], case["message"], case["context"])
    assert openssl.ml_dsa_verify(public, own, case["message"], case["context"])


@pytest.mark.parametrize("case", vectors("ml_kem_768")["cases"])
def test_ml_kem_768(case: dict[str, bytes]) -> None:
    """FIPS 203: the key of the seed, decapsulation, and the secret of nobody for what is no ciphertext of the key."""
    public = openssl.ml_kem_public(case["seed"])

    assert case["public"] == public
    assert openssl.ml_kem_key_is_sound(public)
    assert case["shared"] == openssl.ml_kem_decapsulate(case["seed"], case["sent"])
    assert case["shared_of_rejected"] == openssl.ml_kem_decapsulate(case["seed"], case["rejected"])
    shared, sent = openssl.ml_kem_encapsulate(public)
    assert shared == openssl.ml_kem_decapsulate(case["seed"], sent)


def test_final_standards_not_drafts() -> None:
    """FIPS 204 and 203 hash the parameters with the seed, as their drafts did not: it shows in a part of the key."""
    signing, agreeing = bytes(range(32)), bytes(range(64))
    rho = hashlib.shake_256(signing + b"\6\5").digest(32)  # k and l of ML-DSA-65; FIPS 204, algorithm 6
    kem_rho = hashlib.sha3_512(agreeing[:32] + b"\3").digest()[:32]  # k of ML-KEM-768; FIPS 203, algorithm 13

    assert rho == openssl.ml_dsa_public(signing)[:32]
    assert kem_rho == openssl.ml_kem_public(agreeing)[-32:]


def test_ml_kem_key_beyond_the_modulus() -> None:
    """FIPS 203, section 7.2: coefficients of 3329 and more are no key."""
    public = vectors("ml_kem_768")["cases"][0]["public"]

    assert not openssl.ml_kem_key_is_sound(b"\xff\xff\xff" + public[3:])


@pytest.mark.parametrize("case", vectors("p384")["signatures"])
def test_p384_signature(case: dict[str, bytes]) -> None:
    """RFC 6979: the deterministic signature, with the smaller of s and its negative."""
    found = vectors("p384")
    signature = openssl.p384_sign(found["secret"], case["message"])
    s = int.from_bytes(case["s"], "big")

    assert found["public"] == openssl.p384_public(found["secret"])
    assert case["r"] == signature[:48]
    assert min(s, P384_ORDER - s) == int.from_bytes(signature[48:], "big")
    assert openssl.p384_verify(found["public"], signature, case["message"])


@pytest.mark.parametrize("case", vectors("p384")["verified"])
def test_p384_verified(case: dict[str, bytes]) -> None:
    """NIST CAVP: signatures that hold, in their smaller form only."""
    s = int.from_bytes(case["s"], "big")
    small, large = (value.to_bytes(48, "big") for value in sorted((s, P384_ORDER - s)))

    assert openssl.p384_verify(case["public"], case["r"] + small, case["message"])
    assert not openssl.p384_verify(case["public"], case["r"] + large, case["message"])


@pytest.mark.parametrize("case", vectors("p384")["refused"])
def test_p384_refused(case: dict[str, bytes]) -> None:
    """NIST CAVP: signatures that do not hold, in either form."""
    s = int.from_bytes(case["s"], "big")
    for value in (s, P384_ORDER - s):
        assert not openssl.p384_verify(case["public"], case["r"] + value.to_bytes(48, "big"), case["message"])


def test_p384_agreement() -> None:
    """RFC 5903: both sides find the same x coordinate."""
    case = vectors("p384")["agreement"]
    first, second = case["secrets"]

    assert case["publics"] == [openssl.p384_public(first), openssl.p384_public(second)]
    assert case["shared"] == openssl.p384_agree(first, case["publics"][1])
    assert case["shared"] == openssl.p384_agree(second, case["publics"][0])


@pytest.mark.parametrize("public", [bytes(97), b"\4" + bytes(96), b"\4" + b"\xff" * 96, b"\2" + bytes(96)])
def test_p384_points_off_the_curve(public: bytes) -> None:
    """What is no point of the curve, with both coordinates, is no key."""
    assert not openssl.p384_key_is_sound(public)
    assert openssl.p384_agree(bytes(47) + b"\1", public) is None

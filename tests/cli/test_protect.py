"""keygen, sign, encrypt, decrypt, and what the other verbs are told: key files, secrets, and who is trusted."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

import aprgen as package
from aprgen.cli import access as access_module
from aprgen.cli.protection import Opening, PasswordSource, words_of
from aprgen.errors import AprgenError, SecurityError
from tests.cli.commands import DATA, ROOT, Answer, Command, is_three_lines, process
from tests.hostile.bytesmith import patched

MODEL = DATA / "real" / "linreg.apr"
SUITES = ("standard", "post-quantum", "hybrid", "gov")
PASSWORD = "correct horse battery staple"

every_suite = pytest.mark.parametrize("suite", SUITES)


def secret_file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def security(name: str) -> dict[str, Any]:
    given: dict[str, Any] = json.loads((DATA / "real" / f"{name}.json").read_text())["security"]
    return given


def made(aprgen: Command, name: Path, *words: str) -> tuple[Path, Path]:
    assert aprgen("keygen", name, *words).status == 0
    return name.with_name(name.name + ".key"), name.with_name(name.name + ".pub")


def refused(answer: Answer, code: str, status: int = 4) -> bool:
    return answer.status == status and is_three_lines(answer, code)


# -- keygen --


@every_suite
@pytest.mark.parametrize("use", ["sign", "encrypt"])
def test_keygen(aprgen: Command, tmp_path: Path, suite: str, use: str) -> None:
    """The secret key is its owner's only, whatever the umask says, and no two are the same."""
    before = os.umask(0)
    try:
        answer = aprgen("keygen", tmp_path / "one", "--suite", suite, "--for", use, "--format", "json")
    finally:
        os.umask(before)
    key, public = made(aprgen, tmp_path / "two", "--suite", suite, "--for", use)

    assert stat.S_IMODE((tmp_path / "one.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (tmp_path / "one.pub").read_bytes() != public.read_bytes()
    assert b"PRIVATE" in key.read_bytes()
    assert b"PRIVATE" not in public.read_bytes()
    assert answer.json["use"] == use
    assert len(bytes.fromhex(answer.json["fingerprint"])) == 32


@pytest.mark.parametrize(("encoding", "size"), [("raw", 32), ("hex", 65)])
def test_keygen_encodings(aprgen: Command, tmp_path: Path, encoding: str, size: int) -> None:
    """Raw bytes and hex are read again, and are refused for keys that they could not tell apart."""
    key, public = made(aprgen, tmp_path / "a", "--encoding", encoding)

    assert [len(path.read_bytes()) for path in (key, public)] == [size, size]
    assert aprgen("sign", MODEL, "--key", key, "-o", tmp_path / "s.apr").status == 0
    assert aprgen("validate", tmp_path / "s.apr", "--trust", public).status == 0
    answer = aprgen("keygen", tmp_path / "b", "--encoding", encoding, "--suite", "hybrid")
    assert refused(answer, "usage.arguments", 2)


def test_keygen_needs_one_name(aprgen: Command, tmp_path: Path) -> None:
    """NAME stands alone or behind -o, as the other verbs have it."""
    assert aprgen("keygen", "-o", tmp_path / "a").status == 0
    assert (tmp_path / "a.pub").exists()
    for words in ((), (tmp_path / "b", "-o", tmp_path / "c")):
        assert refused(aprgen("keygen", *words), "usage.arguments", 2)


def test_keygen_overwrites_nothing(aprgen: Command, tmp_path: Path) -> None:
    """A key that is there stays, even if only one of the two is there, unless --force is given."""
    key, public = made(aprgen, tmp_path / "a")
    kept = key.read_bytes()
    assert refused(aprgen("keygen", tmp_path / "a"), "output.exists", 2)
    public.unlink()
    assert refused(aprgen("keygen", tmp_path / "a"), "output.exists", 2)
    assert kept == key.read_bytes()
    assert not public.exists()

    key.chmod(0o644)
    assert aprgen("keygen", tmp_path / "a", "--force").status == 0
    assert kept != key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_keygen_follows_no_link(aprgen: Command, tmp_path: Path) -> None:
    """A dangling link in the place of the key is not written through."""
    (tmp_path / "a.key").symlink_to(tmp_path / "elsewhere")

    assert refused(aprgen("keygen", tmp_path / "a"), "output.exists", 2)
    assert aprgen("keygen", tmp_path / "a", "--force").status == 0
    assert not (tmp_path / "elsewhere").exists()


@every_suite
def test_keys_of_openssl(aprgen: Command, tmp_path: Path, suite: str) -> None:
    """What keygen writes is PKCS #8 and SubjectPublicKeyInfo, which another reader takes."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    key, public = made(aprgen, tmp_path / "a", "--suite", suite)
    mark = b"-----BEGIN"
    secrets = [mark + part for part in key.read_bytes().split(mark)[1:]]
    publics = [mark + part for part in public.read_bytes().split(mark)[1:]]

    assert len(secrets) == len(publics) == (2 if suite == "hybrid" else 1)
    for secret, one in zip(secrets, publics, strict=True):
        assert load_pem_private_key(secret, None).public_key() == load_pem_public_key(one)


def test_key_of_openssl_ecparam(aprgen: Command, tmp_path: Path) -> None:
    """`openssl ecparam -genkey` writes the curve before a key in a form of its own."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    def written(curve: ec.EllipticCurve) -> Path:
        key = ec.generate_private_key(curve).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
        curve_block = b"-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n"
        return secret_file(tmp_path / curve.name, curve_block + key)

    signed = tmp_path / "s.apr"
    answer = aprgen("sign", MODEL, "--key", written(ec.SECP384R1()), "-o", signed, "--format", "json")
    assert answer.json["cipher_suite_name"] == "GovHighAssurance"
    assert refused(aprgen("sign", MODEL, "--key", written(ec.SECP256R1()), "-o", signed), "security.key_file")


# -- the whole way --


@every_suite
def test_the_whole_way(aprgen: Command, tmp_path: Path, suite: str) -> None:
    """Keys, encrypt and sign, validate, compile, decrypt: banner and manifest name the signer, and the bytes return."""
    signer, trusted = made(aprgen, tmp_path / "alice", "--suite", suite)
    key, address = made(aprgen, tmp_path / "board", "--suite", suite, "--for", "encrypt")
    closed, out = tmp_path / "closed.apr", tmp_path / "out"
    opening = ("--trust", trusted, "--require-signature", "--key", key)
    assert aprgen("encrypt", MODEL, "--recipient", address, "--sign-key", signer, "-o", closed).status == 0

    assert aprgen("validate", closed, *opening).status == 0
    shown = aprgen("inspect", closed, *opening, "--format", "json").json
    assert shown["signature"]["state"] == "verified by trusted key alice"
    assert shown["signature"]["signer"] == "alice"
    assert shown["encryption"]["opened"] is True
    assert shown["structure"]["state"] == "decoded"
    answer = aprgen("compile", closed, *opening, "--no-measure", "--name", "m", "-o", out)
    assert answer.status == 0, answer.err
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["signer"] == f"alice (key {shown['signature']['fingerprint'][:16]}), verified"
    assert manifest["signature"]["state"] == "trusted"
    assert manifest["was_encrypted"] is True
    assert manifest["sha256"]["model"] == hashlib.sha256(closed.read_bytes()).hexdigest()
    banner = (out / "m.c").read_text()[:2000]
    assert f" * signer   {manifest['signer']}\n" in banner
    assert "--trust alice.pub --require-signature --key KEY" in banner
    assert str(tmp_path) not in banner
    assert "--trust KEYS --allow-legacy --password-prompt" in " ".join(
        words_of(Opening((Path("."),), allow_legacy=True, password=PasswordSource(file=Path("p"))))
    )

    plain = tmp_path / "plain.apr"
    assert aprgen("decrypt", closed, *opening, "-o", plain).status == 0
    assert plain.read_bytes() == MODEL.read_bytes()
    assert stat.S_IMODE(plain.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if ".part" in path.name) == []


@every_suite
def test_signed(aprgen: Command, tmp_path: Path, suite: str) -> None:
    """Without trust the state says so; with the signer's key, or a folder that holds it, the file passes."""
    signer, trusted = made(aprgen, tmp_path / "alice", "--suite", suite)
    made(aprgen, tmp_path / "board", "--for", "encrypt", "--suite", suite)  # a folder may hold such keys, too
    _, stranger = made(aprgen, tmp_path / "mallory", "--suite", suite)
    signed = tmp_path / "signed" / "m.apr"
    signed.parent.mkdir()
    assert aprgen("sign", MODEL, "--key", signer, "-o", signed).status == 0

    assert "not verified: no trust given" in aprgen("inspect", signed).out
    for trust in (trusted, tmp_path):
        answer = aprgen("inspect", signed, "--trust", trust)
        assert answer.status == 0
        assert "verified by trusted key alice" in answer.out
    answer = aprgen("inspect", signed, "--trust", stranger)
    assert refused(answer, "security.signer")
    assert "signed by unknown key" in answer.out
    words = ("compile", signed, "-o", tmp_path / "out", "--trust", stranger)
    assert refused(aprgen(*words), "security.signer")
    assert not (tmp_path / "out").exists()


def test_every_verb_asks(aprgen: Command, tmp_path: Path) -> None:
    """Every verb that reads a model takes the options, and refuses alike."""
    _, stranger = made(aprgen, tmp_path / "mallory")
    rows = tmp_path / "rows.csv"
    rows.write_text("0,0\n")
    signed, closed = DATA / "real" / "signed_linreg.apr", DATA / "real" / "encrecip_dtr.apr"
    key = secret_file(tmp_path / "k", bytes(range(32)))
    more = {"run": ("--inputs", rows), "wcet": ("--target", "cortex-m4")}
    for verb in ("compile", "run", "test", "wcet", "explore", "inspect", "validate"):
        words = more.get(verb, ())
        assert refused(aprgen(verb, signed, *words, "--trust", stranger), "security.signer"), verb
        assert refused(aprgen(verb, closed, *words, "--key", key), "security.decryption"), verb
        if verb not in ("inspect", "validate"):
            assert refused(aprgen(verb, closed, *words), "security.encrypted"), verb


def test_unsigned(aprgen: Command, tmp_path: Path) -> None:
    """An unsigned file passes only where nobody asks for a signature."""
    _, trusted = made(aprgen, tmp_path / "alice")

    assert aprgen("validate", MODEL).status == 0
    assert refused(aprgen("validate", MODEL, "--require-signature"), "security.unsigned")
    assert refused(aprgen("validate", MODEL, "--trust", trusted), "security.unsigned")
    words = ("compile", MODEL, "--require-signature", "-o", tmp_path / "out")
    assert refused(aprgen(*words), "security.unsigned")
    assert not (tmp_path / "out").exists()


def test_changed_after_signing(aprgen: Command, tmp_path: Path) -> None:
    """A changed signed file is refused with no options at all, and shown as what it is."""
    data = (DATA / "real" / "signed_linreg.apr").read_bytes()
    changed = tmp_path / "changed.apr"
    changed.write_bytes(patched(data, 95, b"?"))

    answer = aprgen("inspect", changed)
    assert refused(answer, "security.signature")
    assert "signature invalid" in answer.out
    assert refused(aprgen("compile", changed, "-o", tmp_path / "out"), "security.signature")


# -- the fixtures of the original library --


@pytest.mark.parametrize("name", ["encpw_kmeans", "encpw_logreg"])
def test_password_fixture(aprgen: Command, tmp_path: Path, name: str) -> None:
    """From a file, with or without a line end, and from a variable that is named; the empty password is one, too."""
    password, path = security(name)["password"], DATA / "real" / f"{name}.apr"
    for number, end in enumerate(("", "\n", "\r\n")):
        source = secret_file(tmp_path / f"password{number}", (password + end).encode())
        answer = aprgen("validate", path, "--password-file", source)
        assert (answer.status, answer.err) == (0, "")
    environment = {**os.environ, "MODEL_PASSWORD": password}
    assert process("validate", path, "--password-env", "MODEL_PASSWORD", environment=environment).status == 0
    wrong = secret_file(tmp_path / "wrong", b"wrong")
    assert refused(aprgen("validate", path, "--password-file", wrong), "security.decryption")


@pytest.mark.parametrize("name", ["encrecip_dtr", "encrecip_rfr"])
def test_recipient_fixture(aprgen: Command, tmp_path: Path, name: str) -> None:
    """From raw bytes and hex."""
    secret, path = bytes.fromhex(security(name)["x25519_secret_hex"]), DATA / "real" / f"{name}.apr"
    for number, text in enumerate((secret, secret.hex().encode(), secret.hex().upper().encode() + b"\n")):
        key = secret_file(tmp_path / f"key{number}", text)
        assert aprgen("validate", path, "--key", key).status == 0


def test_without_a_secret(aprgen: Command, tmp_path: Path) -> None:
    """No secret: status 4, and which options open the file. There is no password that is taken unasked."""
    answer = aprgen("compile", DATA / "real" / "encpw_kmeans.apr", "-o", tmp_path / "out")

    assert refused(answer, "security.encrypted")
    assert "--password-file" in answer.error_lines[2]
    assert "--key" in answer.error_lines[2]


# -- secrets --


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_key_that_others_can_read(aprgen: Command, tmp_path: Path, mode: int) -> None:
    """Such a key is refused with what to do, for every use of it; a public key may be read by all."""
    signer, public = made(aprgen, tmp_path / "alice")
    opener, _ = made(aprgen, tmp_path / "board", "--for", "encrypt")
    public.chmod(0o666)
    for path in (signer, opener):
        path.chmod(mode)
    answer = aprgen("sign", MODEL, "--key", signer, "-o", tmp_path / "s.apr")

    assert refused(answer, "security.key_file")
    assert "chmod 600" in answer.error_lines[2]
    assert not (tmp_path / "s.apr").exists()
    assert refused(aprgen("validate", MODEL, "--key", opener), "security.key_file")
    assert aprgen("validate", DATA / "real" / "signed_dtc.apr", "--trust", public).status == 4


def test_password_file_that_others_can_read(aprgen: Command, tmp_path: Path) -> None:
    """It opens the file, with a note."""
    path = secret_file(tmp_path / "password", PASSWORD.encode())
    path.chmod(0o644)
    answer = aprgen("validate", DATA / "real" / "encpw_logreg.apr", "--password-file", path)

    assert answer.status == 0
    assert answer.err.startswith("note: others can read ")


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "is no key"),
        (b"x" * 31, "is no key"),
        (b"zz" * 32, "is no key"),
        (b"x" * 70_000, "more than 65536"),
        (b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw", "does not end it"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "itself is encrypted"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no key that aprgen uses"),
    ],
)
def test_files_that_are_no_keys(aprgen: Command, tmp_path: Path, contents: bytes, words: str) -> None:
    """What is wrong is said, and nothing of the contents."""
    path = secret_file(tmp_path / "k", contents)
    for answer in (
        aprgen("sign", MODEL, "--key", path, "-o", tmp_path / "s.apr"),
        aprgen("validate", MODEL, "--trust", path),
        aprgen("encrypt", MODEL, "--recipient", path, "-o", tmp_path / "e.apr"),
    ):
        assert refused(answer, "security.key_file")
        assert words in answer.error_lines[0]


def test_keys_of_the_wrong_kind(aprgen: Command, tmp_path: Path) -> None:
    """Secret for public, public for secret, signing for encryption: each is named."""
    signer, trusted = made(aprgen, tmp_path / "s")
    opener, address = made(aprgen, tmp_path / "e", "--for", "encrypt")
    out = tmp_path / "x.apr"

    trusted.chmod(0o600)
    assert "holds a public key" in aprgen("sign", MODEL, "--key", trusted, "-o", out).err
    assert "holds a secret key" in aprgen("validate", MODEL, "--trust", signer).err
    assert "no signing key" in aprgen("sign", MODEL, "--key", opener, "-o", out).err
    assert "no signing key" in aprgen("validate", MODEL, "--trust", address).err
    assert "no encryption key" in aprgen("encrypt", MODEL, "--recipient", trusted, "-o", out).err
    assert not out.exists()


def test_low_order_keys(aprgen: Command, tmp_path: Path) -> None:
    """Keys of low order are neither trusted nor encrypted for."""
    path = tmp_path / "k"
    path.write_bytes(b"\1" + bytes(31))

    assert refused(aprgen("validate", MODEL, "--trust", path), "security.key")
    assert refused(aprgen("encrypt", MODEL, "--recipient", path, "-o", tmp_path / "x"), "security.key")


def test_folder_of_trust(aprgen: Command, tmp_path: Path) -> None:
    """Other files, secret keys and keys for encryption may lie beside the keys of signers, a damaged .pub may not."""
    signer, public = made(aprgen, tmp_path / "alice")
    made(aprgen, tmp_path / "board", "--for", "encrypt")
    (tmp_path / "secret.pem").write_bytes(signer.read_bytes())
    (tmp_path / "README").write_text("keys of those we trust\n")
    (tmp_path / "model.bin").write_bytes(bytes(100_000))
    signed = tmp_path / "signed.apr"
    assert aprgen("sign", MODEL, "--key", signer, "-o", signed).status == 0

    assert aprgen("validate", signed, "--trust", tmp_path).status == 0
    (tmp_path / "bob.pub").write_bytes(b"0123")
    assert refused(aprgen("validate", signed, "--trust", tmp_path), "security.key_file")
    (tmp_path / "bob.pub").write_bytes(public.read_bytes()[:60])
    assert refused(aprgen("validate", signed, "--trust", tmp_path), "security.key_file")


def test_folder_without_keys(aprgen: Command, tmp_path: Path) -> None:
    """A folder that names nobody to trust is a mistake, not trust in nobody."""
    made(aprgen, tmp_path / "board", "--for", "encrypt")

    assert refused(aprgen("validate", MODEL, "--trust", tmp_path), "security.key_file")
    assert refused(aprgen("validate", MODEL, "--trust", tmp_path / "none"), "file.unreadable", 2)


def test_variable_that_is_not_there(aprgen: Command) -> None:
    """It is a mistake, not an empty password."""
    path = DATA / "real" / "encpw_kmeans.apr"

    assert refused(aprgen("validate", path, "--password-env", "NO_SUCH_VARIABLE_HERE"), "usage.password", 2)


def test_password_file_with_two_lines(aprgen: Command, tmp_path: Path) -> None:
    """Which line would it be?"""
    path = secret_file(tmp_path / "p", b"one\ntwo\n")

    assert refused(aprgen("validate", MODEL, "--password-file", path), "usage.password", 2)


def test_no_option_takes_a_secret() -> None:
    """Others see the words of a command: there is no --password."""
    for verb in ("compile", "encrypt", "decrypt", "validate"):
        text = process(verb, "--help").out
        assert "--password-file" in text
        assert "--password " not in text
        assert process(verb, MODEL, "--password", "x").status == 2


def on_terminal(words: list[str | Path], typed: bytes) -> tuple[int, str]:
    """`python -m aprgen` with a terminal of its own, on which somebody types."""
    ours, theirs = os.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-m", "aprgen", *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
        start_new_session=True, preexec_fn=take_terminal, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(theirs)
    shown, asked = b"", 0
    lines = typed.splitlines(keepends=True)
    while True:
        try:
            got = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not got:
            break
        shown += got
        if asked < len(lines) and shown.count(b": ") > asked:
            os.write(ours, lines[asked])
            asked += 1
    os.close(ours)
    return process.wait(timeout=60), shown.decode()


def test_prompt(tmp_path: Path) -> None:
    """A person types the password, which is not shown; a new one twice."""
    closed, plain = tmp_path / "c.apr", tmp_path / "p.apr"
    words: list[str | Path] = ["encrypt", MODEL, "--password-prompt", "-o", closed]
    status, shown = on_terminal(words, b"s3cret\ns3cret\n")
    assert (status, "s3cret" in shown) == (0, False), shown
    status, shown = on_terminal(["decrypt", closed, "--password-prompt", "-o", plain], b"s3cret\n")
    assert (status, "s3cret" in shown) == (0, False), shown
    assert plain.read_bytes() == MODEL.read_bytes()

    status, shown = on_terminal([*words[:4], tmp_path / "d.apr"], b"s3cret\nother\n")
    assert status == 2
    assert "differ" in shown
    assert not (tmp_path / "d.apr").exists()


def test_prompt_without_terminal(aprgen: Command) -> None:
    """A script that has no terminal is told what to give instead; nothing hangs."""
    path = DATA / "real" / "encpw_kmeans.apr"

    assert refused(process("validate", path, "--password-prompt"), "usage.password", 2)


def test_words_that_do_not_fit(aprgen: Command, tmp_path: Path) -> None:
    """Recipient and password together, or neither; two passwords; nothing to decrypt with."""
    _, address = made(aprgen, tmp_path / "e", "--for", "encrypt")
    out = ("-o", tmp_path / "x.apr")
    for words in (
        ("encrypt", MODEL, *out),
        ("encrypt", MODEL, "--recipient", address, "--password-prompt", *out),
        ("encrypt", MODEL, "--recipient", address, "--suite", "hybrid", *out),
        ("decrypt", MODEL, *out),
        ("decrypt", MODEL, "--password-prompt", "--password-env", "X", *out),
        ("sign", MODEL, *out),
        ("sign", MODEL, "--key", address),
    ):
        assert refused(aprgen(*words), "usage.arguments", 2), words


def test_file_of_a_verb_stays_when_it_fails(aprgen: Command, tmp_path: Path) -> None:
    """A refused file replaces nothing, and nothing half written stays."""
    key = secret_file(tmp_path / "k", bytes(range(32)))
    out = tmp_path / "out.apr"
    out.write_bytes(b"mine")

    assert aprgen("decrypt", DATA / "real" / "encrecip_dtr.apr", "--key", key, "-o", out).status == 4
    assert out.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k", "out.apr"]


def test_decrypt_replaces_a_file_that_others_can_read(aprgen: Command, tmp_path: Path) -> None:
    """The plain file is its owner's only, whatever was there before."""
    key = secret_file(tmp_path / "k", bytes.fromhex(security("encrecip_dtr")["x25519_secret_hex"]))
    out = tmp_path / "out.apr"
    out.write_bytes(b"old")
    out.chmod(0o644)

    assert aprgen("decrypt", DATA / "real" / "encrecip_dtr.apr", "--key", key, "-o", out).status == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert aprgen("validate", out).status == 0


def test_legacy(aprgen: Command, tmp_path: Path) -> None:
    """LegacyRSA is refused, and with --allow-legacy compiled with a banner that says what is missing."""
    from tests.container.test_protected import legacy

    path = tmp_path / "m.apr"
    path.write_bytes(legacy())
    words = ("compile", path, "--no-measure", "-o", tmp_path / "out")

    assert refused(aprgen(*words), "security.suite")
    answer = aprgen(*words, "--allow-legacy")
    assert answer.status == 0
    assert "not verified: LegacyRSA is only read" in (tmp_path / "out" / "m.c").read_text()


# -- Python --


def test_load_in_python(aprgen: Command, tmp_path: Path) -> None:
    """aprgen.load takes trust, key and password, and says who signed; compile takes them with a file."""
    signer, trusted = made(aprgen, tmp_path / "alice")
    key, address = made(aprgen, tmp_path / "board", "--for", "encrypt")
    closed, locked = tmp_path / "c.apr", tmp_path / "l.apr"
    assert aprgen("encrypt", MODEL, "--recipient", address, "--sign-key", signer, "-o", closed).status == 0
    password = secret_file(tmp_path / "p", PASSWORD.encode())
    assert aprgen("encrypt", MODEL, "--password-file", password, "--suite", "hybrid", "-o", locked).status == 0

    model = package.load(closed, trust=trusted, key=key, require_signature=True)
    assert (model.signature.state, model.signature.name) == ("trusted", "alice")
    assert package.load(locked, password=PASSWORD).signature.state == "unsigned"
    artifact = package.compile(str(closed), trust=[str(trusted)], key=str(key))
    assert artifact.manifest["signer"] == model.signature.signer
    for wrong in (lambda: package.load(MODEL, require_signature=True), lambda: package.load(MODEL, trust=tmp_path)):
        with pytest.raises(SecurityError, match="not signed"):
            wrong()
    with pytest.raises(AprgenError, match="loaded already"):
        package.compile(model, trust=trusted)


def test_only_named_variables_are_read() -> None:
    """The environment is asked for one name, which an option gave."""
    source = Path(access_module.__file__).read_text()

    assert source.count("os.environ") == 1

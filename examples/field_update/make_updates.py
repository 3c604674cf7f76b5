"""Makes all that reaches the valve: its first model, the key that it trusts, good updates, and bad ones of every kind.

    python make_updates.py FOLDER

Models are trained on simulated readings; converting, keys and signatures are those of aprgen's own commands.
"""

from __future__ import annotations

import contextlib
import io
import sys
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.cli import main as aprgen
from aprgen.container import Metadata, write_v1
from aprgen.container.bincode import encode
from aprgen.families import STRUCTS
from aprgen.loaded import load_model

FEATURES = ("flow_l_s", "pressure_bar", "vibration_g", "temperature_c")
LOGISTIC, NAIVE_BAYES = 0x0002, 0x0008
ZSTD = 1
CREATED = "1767225600"  # 2026-01-01
N = 2000

Floats = NDArray[np.float64]


def readings(rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Rows [N, features] of a valve, and whether it leaks."""
    leaks = rng.integers(0, 2, N)
    flow = 2.0 + 1.5 * leaks + rng.normal(0, 0.4, N)
    pressure = 6.0 - 1.2 * leaks + rng.normal(0, 0.4, N)
    vibration = 0.2 + 0.3 * leaks + rng.normal(0, 0.08, N)
    return np.stack([flow, pressure, vibration, rng.normal(20, 5, N)], axis=1), leaks


def logistic(rows: Floats, labels: NDArray[np.int64]) -> dict[str, object]:
    """Newton's method with a little weight decay."""
    x = np.column_stack([rows, np.ones(len(rows))])
    weights = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (labels - p) - 1e-2 * weights
        weights += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-2 * np.eye(len(weights)), slope)
    return {
        "coefficients": weights[:-1].astype(np.float32), "intercept": float(weights[-1]), "learning_rate": 0.1,
        "max_iter": 25, "tol": 1e-4,
    }  # fmt: skip


def naive_bayes(rows: Floats, labels: NDArray[np.int64]) -> dict[str, object]:
    parts = [rows[labels == k] for k in (0, 1)]
    return {
        "class_priors": np.array([len(part) / N for part in parts], np.float32),
        "means": tuple(part.mean(axis=0).astype(np.float32) for part in parts),
        "variances": tuple(part.var(axis=0).astype(np.float32) for part in parts),
        "classes": np.arange(2, dtype=np.uint64),
        "var_smoothing": 1e-9,
    }


class Workshop:
    """A folder in which models become files that a device can load."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("maker", "stranger"):
            self.run("keygen", self.path(name), "--force")

    def path(self, name: str) -> Path:
        return self.folder / name

    def run(self, *words: object) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            status = aprgen([str(word) for word in words])
        if status != 0:
            raise SystemExit(status)

    def model(self, name: str, struct: str, fields: dict[str, object], version: int) -> Path:
        """As the original library writes it; the version counts up, for the device to compare."""
        one = next(one for one in STRUCTS if one.name == struct)
        metadata = Metadata(CREATED, "0.26.3", model_name=name, custom={"version": version})
        model_type = LOGISTIC if struct == "LogisticRegression" else NAIVE_BAYES
        self.path(f"{name}.model.apr").write_bytes(write_v1(model_type, encode(one.codec, fields), metadata))
        return self.path(f"{name}.model.apr")

    def native(self, model: Path, *, packed: bool = False) -> Path:
        """In the form that is used in place; packed: compressed, for a slow line."""
        out = model.with_suffix(".native")
        self.run("convert", model, "-o", out, "--native", "--no-record")
        if packed:
            file = load_model(out.read_bytes()).container
            data = write_v1(file.header.model_type, file.payload, file.metadata, method=ZSTD, native=True)
            out.write_bytes(data)
        return out

    def signed(self, name: str, native: Path, key: str = "maker") -> bytes:
        out = self.path(f"{name}.apr")
        out.unlink(missing_ok=True)
        self.run("sign", native, "--key", self.path(f"{key}.key"), "-o", out)
        return out.read_bytes()

    def plain(self, name: str, data: bytes) -> None:
        self.path(f"{name}.apr").write_bytes(data)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def resealed(data: bytes) -> bytes:
    """With a checksum that fits, as whoever edits a file on purpose would write it."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def listed(data: bytes) -> str:
    return ", ".join(map(str, data))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shop = Workshop(folder)
    rows, leaks = readings(np.random.default_rng(5))
    first = shop.native(shop.model("first", "LogisticRegression", logistic(rows, leaks), 1))
    factory = shop.signed("factory", first)
    better = shop.native(shop.model("better", "GaussianNB", naive_bayes(rows, leaks), 2))
    good = shop.signed("better", better)
    inverted = shop.native(shop.model("inverted", "LogisticRegression", logistic(rows, 1 - leaks), 3))
    shop.signed("inverted", inverted)
    wide = np.column_stack([rows, rows[:, 0]])
    shop.signed("wide", shop.native(shop.model("wide", "LogisticRegression", logistic(wide, leaks), 3)))
    shop.signed("bincode", shop.model("bincode", "LogisticRegression", logistic(rows, leaks), 3))
    packed = shop.model("packed", "LogisticRegression", logistic(rows[::2], leaks[::2]), 4)
    shop.signed("packed", shop.native(packed, packed=True))
    shop.plain("damaged", flipped(good, len(good) - 150))
    shop.plain("edited", resealed(flipped(good, len(good) - 150)))
    shop.plain("counter", resealed(good.replace(b"\xa7version\x02", b"\xa7version\x09")))
    shop.plain("unsigned", better.read_bytes())
    shop.signed("stranger", better, "stranger")
    shop.plain("cut", good[:-7])
    shop.plain("older", factory)
    order = (
        "damaged", "edited", "unsigned", "stranger", "cut", "better", "older", "counter", "inverted", "wide", "bincode",
        "missing", "packed", "better",
    )  # fmt: skip
    (folder / "factory.c").write_text(
        '/* The first model, in a file of its own: its bytes are read as floats. */\n#include "factory.h"\n\n'
        f"const uint32_t factory_size = {len(factory)}U;\n"
        f"const uint8_t factory[{len(factory)}] __attribute__((aligned(64))) = {{\n{listed(factory)}}};\n"
    )  # fmt: skip
    (folder / "trusted.h").write_text(
        "/* The maker's public key: at the end of every file that it signed. */\n"
        f"static const uint8_t trusted[1][APR_KEY_BYTES] = {{{{{listed(factory[-36:-4])}}}}};\n"
    )
    (folder / "updates.txt").write_text("".join(f"build/{name}.apr\n" for name in order))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Trains three models of one pump on simulated days, and writes them as wear.apr, cavitation.apr and regime.apr.

Also writes commands.txt: what the emulated controller is asked. Run it again only to change the models: `python
train.py`, with aprgen installed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.container import Metadata, write_v1
from aprgen.container.bincode import encode
from aprgen.families import STRUCTS

HERE = Path(__file__).parent
FEATURES = ("flow_l_s", "head_m", "speed_rps", "current_a", "vibration_g", "temperature_c")
REGIMES = ("off the curve", "part load", "best point", "overload")
LINEAR, LOGISTIC, NAIVE_BAYES = 0x0001, 0x0002, 0x0008
CREATED = "1767225600"  # 2026-01-01; a fixed time, so that the files are the same on every machine
N = 4000
QUESTIONS = 12

Floats = NDArray[np.float64]


def days(rng: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Rows [N, features]; hours until the bearings are worn, whether the pump cavitates, and its regime."""
    regime = rng.integers(0, len(REGIMES), N)
    flow = np.array([4.0, 9.0, 16.0, 23.0])[regime] + rng.normal(0, 1.2, N)
    speed = 24.0 + rng.normal(0, 0.6, N)
    head = 42.0 - 0.035 * flow**2 + 0.8 * (speed - 24.0) + rng.normal(0, 0.5, N)
    worn = rng.uniform(0, 1, N)
    cavitates = (rng.uniform(0, 1, N) < np.where(regime == 3, 0.6, 0.08)).astype(np.int64)
    vibration = 0.3 + 0.9 * worn + 0.7 * cavitates + rng.normal(0, 0.08, N)
    current = 3.0 + 0.011 * flow * head + 0.4 * worn + rng.normal(0, 0.1, N)
    temperature = 41.0 + 16.0 * worn + 0.15 * flow + rng.normal(0, 0.9, N)
    rows = np.stack([flow, head, speed, current, vibration, temperature], axis=1)
    return rows, 9000.0 * (1.0 - worn), cavitates, regime


def least_squares(rows: Floats, wanted: Floats) -> tuple[Floats, float]:
    found = np.linalg.lstsq(np.column_stack([rows, np.ones(len(rows))]), wanted, rcond=None)[0]
    return found[:-1], float(found[-1])


def logistic(rows: Floats, labels: NDArray[np.int64]) -> tuple[Floats, float]:
    """Newton's method with a little weight decay."""
    x = np.column_stack([rows, np.ones(len(rows))])
    weights = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (labels - p) - 1e-3 * weights
        weights += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(len(weights)), slope)
    return weights[:-1], float(weights[-1])


def write(name: str, struct: str, model_type: int, fields: dict[str, object], about: str) -> None:
    codec = next(one for one in STRUCTS if one.name == struct).codec
    metadata = Metadata(CREATED, "0.26.3", model_name=name, description=f"{about}; features {', '.join(FEATURES)}")
    (HERE / f"{name}.apr").write_bytes(write_v1(model_type, encode(codec, fields), metadata))


def main() -> None:
    rng = np.random.default_rng(11)
    rows, hours, cavitates, regime = days(rng)
    coefficients, intercept = least_squares(rows, hours)
    write(
        "wear", "LinearRegression", LINEAR,
        {"coefficients": coefficients.astype(np.float32), "intercept": intercept, "fit_intercept": True},
        "hours until the bearings are worn",
    )  # fmt: skip
    weights, bias = logistic(rows, cavitates)
    write(
        "cavitation", "LogisticRegression", LOGISTIC,
        {"coefficients": weights.astype(np.float32), "intercept": bias, "learning_rate": 0.1, "max_iter": 25,
         "tol": 1e-4},
        "whether the pump cavitates",
    )  # fmt: skip
    parts = [rows[regime == k] for k in range(len(REGIMES))]
    write(
        "regime", "GaussianNB", NAIVE_BAYES,
        {
            "class_priors": np.array([len(part) / N for part in parts], np.float32),
            "means": tuple(part.mean(axis=0).astype(np.float32) for part in parts),
            "variances": tuple(part.var(axis=0).astype(np.float32) for part in parts),
            "classes": np.arange(len(REGIMES), dtype=np.uint64),
            "var_smoothing": 1e-9,
        },
        f"where on its curve the pump works: {', '.join(REGIMES)}",
    )  # fmt: skip
    names = ("wear", "cavitation", "regime")
    asked = [f"{names[i % 3]} {' '.join(f'{1000 * v:.0f}' for v in row)}" for i, row in enumerate(rows[:QUESTIONS])]
    asked.insert(5, "pressure 0 0 0 0 0 0")
    (HERE / "commands.txt").write_text("\n".join(asked) + "\n")


if __name__ == "__main__":
    main()

"""Trains the brake model: simulated stops on patched roads, a forest of 12 small trees, written as brake.apr.

Also writes one more stop, which no tree has seen, as the sensor rows of the emulated drive, and the decision that the
forest takes on each row. Run it again only to change the model: `python train.py`, with aprgen installed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import aprgen
from aprgen.container import Metadata, write_v1
from aprgen.container.bincode import encode
from aprgen.families import STRUCTS
from aprgen.trees import Tree, TreeBuilder

HERE = Path(__file__).parent
FEATURES = ("slip_fl", "slip_fr", "slip_rl", "slip_rr", "speed_m_s", "pedal_bar", "decel_m_s2", "yaw_rad_s")
RELEASE, HOLD, APPLY = 0, 1, 2
N_TREES = 12
MAX_DEPTH = 6
MIN_SAMPLES = 8
TRIED_FEATURES = 4  # of all, at each split
TRIED_CUTS = 24
STEPS = 120  # of a stop, one per millisecond of emulated time
STOPS = 40
GRIPS = (1.0, 0.8, 0.5, 0.3, 0.15)  # dry, damp, wet, snow, ice
PATCH = 20  # steps on one kind of road
RANDOM_FOREST = 0x0004
CREATED = "1767225600"  # 2026-01-01; a fixed time, so that the file is the same on every machine

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def stop(rng: np.random.Generator) -> tuple[Floats, Labels]:
    """One stop on a patched road: rows [STEPS, features], and the right setting of the valves at each."""
    speed, pressure = rng.uniform(15, 35), 0.0
    slip = np.zeros(4)
    rows, labels = np.zeros((STEPS, len(FEATURES)), np.float32), np.zeros(STEPS, np.int64)
    yaw, grip = 0.0, 1.0
    for step in range(STEPS):
        if step % PATCH == 0:
            grip = float(rng.choice(GRIPS))
        pedal = min(80.0, 2.0 * step)
        wanted = pressure / (80.0 * grip) * 0.2
        slip += 0.35 * (wanted * np.array([1.1, 1.0, 0.85, 0.9]) - slip) + rng.normal(0, 0.008, 4)
        slip = np.clip(slip, 0, 1)
        deceleration = 9.81 * grip * min(1.0, slip.mean() / 0.18)
        speed = max(0.0, speed - deceleration * 0.02)
        yaw += rng.normal(0, 0.02) - 0.05 * yaw
        worst = slip.max()
        label = RELEASE if worst > 0.22 else HOLD if worst > 0.15 or abs(yaw) > 0.25 else APPLY
        pressure = min(pedal, max(0.0, pressure + {RELEASE: -6.0, HOLD: 0.0, APPLY: 4.0}[label]))
        rows[step] = (*slip, speed, pedal, deceleration, yaw)
        labels[step] = label
    return rows + rng.normal(0, 0.003, rows.shape).astype(np.float32), labels


def gini(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = counts.sum(axis=-1)
    shares = counts / np.maximum(total, 1)[..., None]
    return np.asarray(total * (1 - (shares**2).sum(axis=-1)))


def grow(builder: TreeBuilder, rows: Floats, labels: Labels, depth: int, rng: np.random.Generator) -> int:
    """Add the tree for these rows; returns its root. Left holds the rows with a value <= the threshold."""
    counts = np.bincount(labels, minlength=3)
    if depth == MAX_DEPTH or len(labels) < MIN_SAMPLES or counts.max() == len(labels):
        return builder.leaf(label=int(counts.argmax()), samples=len(labels))
    best: tuple[float, int, float] | None = None
    for feature in rng.choice(len(FEATURES), TRIED_FEATURES, replace=False):
        column = rows[:, feature]
        cuts = np.unique(rng.choice(column, TRIED_CUTS))[:-1]
        if len(cuts) == 0:
            continue
        left = column[None, :] <= cuts[:, None]
        below = np.stack([(left & (labels == label)).sum(axis=1) for label in range(3)], axis=1).astype(float)
        impurity = gini(below) + gini(counts - below)
        place = int(impurity.argmin())
        if best is None or impurity[place] < best[0]:
            best = float(impurity[place]), int(feature), float(cuts[place])
    if best is None:
        return builder.leaf(label=int(counts.argmax()), samples=len(labels))
    _, feature, cut = best
    left = rows[:, feature] <= np.float32(cut)
    node = builder.add(feature, cut, samples=len(labels))
    builder.left[node] = grow(builder, rows[left], labels[left], depth + 1, rng)
    builder.right[node] = grow(builder, rows[~left], labels[~left], depth + 1, rng)
    return node


def tree(rows: Floats, labels: Labels, rng: np.random.Generator) -> Tree:
    """A tree on rows drawn with replacement."""
    drawn = rng.integers(0, len(labels), len(labels))
    builder = TreeBuilder()
    grow(builder, rows[drawn], labels[drawn], 0, rng)
    return builder.build()


def main() -> None:
    rng = np.random.default_rng(7)
    stops = [stop(rng) for _ in range(STOPS)]
    rows, labels = np.concatenate([s[0] for s in stops]), np.concatenate([s[1] for s in stops])
    members = tuple(
        {"tree": tree(rows, labels, rng), "max_depth": MAX_DEPTH, "n_features": len(FEATURES)} for _ in range(N_TREES)
    )
    fields: dict[str, object] = {
        "trees": members,
        "n_estimators": N_TREES,
        "max_depth": MAX_DEPTH,
        "random_state": 7,
        "oob_indices": (),
        "x_train": None,
        "y_train": labels.astype(np.uint64),
    }
    forest = next(struct for struct in STRUCTS if struct.name == "RandomForestClassifier")
    metadata = Metadata(
        CREATED,
        "0.26.3",
        model_name="brake",
        description="release, hold or apply the brake pressure; features " + ", ".join(FEATURES),
    )
    (HERE / "brake.apr").write_bytes(write_v1(RANDOM_FOREST, encode(forest.codec, fields), metadata, method=1))
    drive, wanted = stop(rng)
    decisions = aprgen.load(HERE / "brake.apr").classify(drive)
    assert decisions is not None
    lines = [",".join([*(f"{value:.9g}" for value in row), str(d)]) for row, d in zip(drive, decisions, strict=True)]
    (HERE / "drive.csv").write_text("\n".join([",".join([*FEATURES, "decision"]), *lines]) + "\n")
    print(f"{(decisions == wanted).mean():.1%} of the decisions on the drive are those of the simulated valves")


if __name__ == "__main__":
    main()

"""Writes the sensor rows and decisions of drive.csv as C: `python drive_to_c.py drive.csv drive.c`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

HEAD = '/* Sensor rows and right decisions. Made from drive.csv by drive_to_c.py; do not edit. */\n#include "drive.h"\n'


def main(source: Path, out: Path) -> None:
    with source.open(newline="") as file:
        table = list(csv.reader(file))[1:]
    rows = "\n".join(f"    {{{', '.join(spelled(value) for value in row[:-1])}}}," for row in table)
    decisions = "\n".join(f"    {row[-1]}U," for row in table)
    out.write_text(
        f"{HEAD}\n"
        f"const float drive_rows[DRIVE_ROWS][BRAKE_N_FEATURES] = {{\n{rows}\n}};\n\n"
        f"const uint8_t drive_decisions[DRIVE_ROWS] = {{\n{decisions}\n}};\n"
    )


def spelled(value: str) -> str:
    """In hexadecimal, which C reads exactly."""
    return f"{float(np.float32(value)).hex()}F"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""What cppcheck's addon for MISRA C:2012 finds in generated C, and the deviations listed in runtime_c/MISRA.md.

Knows which rules are advisory, and how cppcheck calls its addon.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.resources import folder
from tests.differential.compiled import write_texts

DEVIATIONS = folder("runtime_c") / "MISRA.md"
ADVISORY = (
    "1.2", "2.3", "2.4", "2.5", "2.6", "2.7", "4.2", "5.9", "8.7", "8.9", "8.11", "8.13", "10.5", "11.4",
    "11.5", "12.1", "12.3", "12.4", "13.3", "13.4", "15.1", "15.4", "15.5", "17.5", "17.8", "18.4", "18.5",
    "19.2", "20.1", "20.5", "20.10", "21.12",
)  # every other rule is required or mandatory  # fmt: skip
# What <float.h> says on every target (the addon reads no headers of a compiler), and a core with the DSP extension.
OPTIONS = (
    "--quiet", "--std=c99", "--dump", "--enable=information", "--platform=unix32-unsigned",
    "--suppress=missingIncludeSystem", "-DFLT_RADIX=2", "-DFLT_MANT_DIG=24", "-DFLT_MAX_EXP=128",
    "-D__ARM_FEATURE_DSP=1", "--template={file}:{line}:{id}",
)  # fmt: skip
UNREAD = ("noValidConfiguration", "syntaxError", "internalError")
ADDON = ("lib/*/cppcheck/addons/misra.py", "lib/cppcheck/addons/misra.py", "share/cppcheck/addons/misra.py")
# The addon as cppcheck calls it, in one process for many files, as starting it takes longer than most of them: for each
# dump, then for what it wrote about all files of a program. Folder and sources of one program are a line.
CALLS = """
import os, sys
addon = sys.argv[1]
code = compile(open(addon, encoding="utf-8").read(), addon, "exec")
sys.path.insert(0, os.path.dirname(addon))
for line in sys.stdin:
    folder, *sources = line.split()
    os.chdir(folder)
    calls = [[f"{source}.dump"] for source in sources] + [[f"{source}.ctu-info" for source in sources]]
    for words in calls:
        sys.argv = [addon, "--cli", *words]
        try:
            exec(code, {"__name__": "__main__", "__file__": addon})
        except SystemExit as end:
            if end.code:
                sys.exit(f"{folder}: {words}: status {end.code}")
    print(f"end of {folder}")
"""
RULE = re.compile(r"c2012-(\d+\.\d+)")
DEVIATION = re.compile(r"^\| (\d+\.\d+) \| (\S+) \| (\S+) \| (.+) \|$", re.MULTILINE)
DEFINED = re.compile(r"^(?:#define |(?:APR_LARGE )?[a-z][\w \*]*[ \*])(\w+)\(")


@dataclass(frozen=True, order=True)
class Finding:
    rule: str
    file: str
    where: str  # the function or macro
    text: str  # the line

    @property
    def place(self) -> tuple[str, str, str]:
        return self.rule, self.file, self.where


@functools.cache
def addon() -> Path:
    program = shutil.which("cppcheck")
    assert program is not None
    prefix = Path(program).resolve().parents[1]
    found = [path for pattern in ADDON for path in prefix.glob(pattern)]
    assert found, f"cppcheck's misra.py is in none of {ADDON} of {prefix}"
    return found[0]


def findings(texts: Mapping[str, str], work: Path) -> set[Finding]:
    """Broken rules that are not advisory, in all C of a model."""
    return findings_in([(texts, sorted(name for name in texts if name.endswith(".c")))], work)


def findings_in(programs: Sequence[tuple[Mapping[str, str], Sequence[str]]], work: Path) -> set[Finding]:
    """Broken rules that are not advisory, in those files of each model's C."""
    lines = []
    for index, (texts, sources) in enumerate(programs):
        place = work / str(index)
        place.mkdir(parents=True)
        write_texts(texts, place)
        done = subprocess.run(
            ["cppcheck", *OPTIONS, *sources], cwd=place, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "")
        unread = [word for word in UNREAD if word in done.stderr]
        assert not unread, f"cppcheck could not read {sources}: {unread}"
        lines.append(" ".join((str(place), *sources)))
    called = subprocess.run(
        [sys.executable, "-c", CALLS, str(addon())], input="\n".join(lines), capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert (called.returncode, called.stderr) == (0, "")
    found: set[Finding] = set()
    said = 0
    rest = list(programs)
    for line in called.stdout.splitlines():
        if line.startswith("end of "):
            assert said > 0, f"the addon said nothing of {rest[0][1]}, not even of advisory rules"
            rest.pop(0)
            said = 0
            continue
        hit = json.loads(line)
        rule = RULE.fullmatch(hit["errorId"])
        assert rule, line
        said += 1
        if rule[1] not in ADVISORY:
            found.add(finding(rule[1], hit["file"], rest[0][0][hit["file"]], hit["linenr"]))
    assert rest == []
    return found


def finding(rule: str, file: str, text: str, line: int) -> Finding:
    lines = text.splitlines()[:line]
    starts = (start for start in map(DEFINED.match, reversed(lines)) if start)
    start = next(starts, None)
    return Finding(rule, file, start[1] if start else "", lines[-1].strip())


def deviations() -> frozenset[tuple[str, str, str]]:
    return frozenset((rule, file, where) for rule, file, where, _ in DEVIATION.findall(DEVIATIONS.read_text("utf-8")))

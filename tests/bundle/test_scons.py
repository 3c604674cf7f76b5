"""env.AprBundle in an SConstruct, and examples/bundle: three models on one Cortex-M4, selected by name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.cli import main as aprgen
from aprgen.loaded import load_model
from tests.examples import PATHS
from tests.scons.test_examples import example_project, scons
from tests.scons.test_tool import Project, verbs

APP = """
#include <stdio.h>
#include "fleet.h"
int main(void)
{
    const fleet_entry *entry = fleet_find("km");
    const float x[FLEET_MOST_FEATURES] = {0.0F};
    int32_t label = -1;
    if ((entry == NULL) || (fleet_classify(entry->id, x, &label) != APR_OK)) {
        return 1;
    }
    printf("label %d, wrong %d\\n", (int)label, (int)fleet_selftest());
    return 0;
}
"""
PROJECT = """
limit = ARGUMENTS.get("limit")
fleet = env.AprBundle("fleet", ["brake.apr", "km=km.apr:both"], limit=None if limit is None else int(limit))
parts = ["app.c", fleet, env.Object("selftest", fleet.selftest, CPPDEFINES=["APR_SELFTEST_NO_MAIN"])]
env.AppendUnique(CPPPATH=[fleet.include])
env.RunTest("app.txt", env.Program("app", parts))
"""


@pytest.fixture
def project(tmp_path: Path, require_target: Callable[[str], None]) -> Project:
    require_target("host")
    made = Project(tmp_path, PROJECT)
    (tmp_path / "app.c").write_text(APP)
    shutil.copy(PATHS["kmeans"], tmp_path / "km.apr")
    return made


def test_a_bundle_is_linked_and_made_anew_when_it_must(project: Project) -> None:
    """Built and run; a second time nothing is done; another model generates again; what is over a limit fails."""
    first = project.build()
    again = project.build()
    shutil.copy(PATHS["kmeans_tie"], project.folder / "km.apr")
    changed = project.build("limit=60000")
    said = project.refused("limit=1000")

    assert {"generating", "compiling", "gcc", "running"} == verbs(first)
    assert re.fullmatch(r"label \d+, wrong 0\n", (project.folder / "app.txt").read_text())
    assert [] == again
    assert {"generating", "compiling"} <= verbs(changed)
    assert "error[budget.bundle]: the bundle is too large" in said


def test_a_definition_brings_its_files(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """With a bundle.toml the build depends on what it names, rows for the self-test too."""
    require_target("host")
    project = Project(tmp_path, 'env.AprBundle("fleet", "bundle.toml", test=5)')
    shutil.copy(PATHS["linreg"], tmp_path / "lin.apr")
    np.save(tmp_path / "ten.npy", np.zeros((1, 10), np.float32))
    (tmp_path / "bundle.toml").write_text('[[model]]\nfile = "lin.apr"\nrows = "ten.npy"\n')
    first = project.build()
    np.save(tmp_path / "ten.npy", np.ones((1, 10), np.float32))

    assert {"generating", "compiling"} == verbs(first)
    assert {"generating"} == verbs(project.build())  # the self-test alone has changed


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('env.AprBundle("fleet", ["brake.apr"], embd="both")', "unknown option 'embd'"),
        ('env.AprBundle("fleet", "nothing.toml")', "cannot read the file"),
    ],
)
def test_what_is_wrong_in_the_sconstruct_names_its_line(call: str, said: str, tmp_path: Path) -> None:
    """Before anything is built."""
    answer = Project(tmp_path, call).refused()

    assert said in answer
    assert "SConstruct, line " in answer


def test_the_example_answers_with_the_bits_of_its_models(
    tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """`scons run` asks three models on one Cortex-M4 by name: labels and scores are those of Program."""
    require_target("cortex-m4")
    folder = example_project("bundle", tmp_path)
    done = scons(folder, "run")
    expected = ["wear (code)", "cavitation (code)", "regime (code and bytes)", "self-test: 0 wrong"]
    commands = (folder / "commands.txt").read_text().splitlines()
    for command in commands:
        name, *numbers = command.split()
        if name == "pressure":
            expected.append("pressure: no such model")
            continue
        program = load_model((folder / f"{name}.apr").read_bytes()).model.lower()
        row = np.array([numbers], np.float32) / np.float32(1000)
        label = program.classify(row)
        words = [f"{name}:"] + ([] if label is None else ["label", str(label[0])])
        expected.append(" ".join([*words, *(f"{bits:#010x}" for bits in program.run(row)[0].view(np.uint32))]))
    expected.append("answered 12, refused 1")

    assert done.returncode == 0, done.stdout + done.stderr
    assert expected == done.stdout.splitlines()[-len(expected) :]


def test_a_bundle_of_signed_models(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """With trust, a bundle takes models of that signer only; require_signature alone refuses unsigned ones."""
    require_target("host")
    project = Project(tmp_path, 'env.AprBundle("fleet", ["km=km.apr"], **eval(ARGUMENTS["how"]))')
    (tmp_path / "keys").mkdir()
    shutil.copy(PATHS["kmeans"], tmp_path / "plain.apr")
    for words in (("keygen", "keys/alice"), ("sign", "plain.apr", "--key", "keys/alice.key", "-o", "km.apr")):
        paths = (str(tmp_path / word) if "." in word or "/" in word else word for word in words[1:])
        assert aprgen([words[0], *paths]) == 0
    trusting, requiring = """how={'trust':'keys'}""", """how={'require_signature':True}"""
    built = project.build(trusting)
    manifest = json.loads((tmp_path / "build" / "host" / "fleet" / "manifest.json").read_text())
    shutil.copy(PATHS["kmeans"], tmp_path / "km.apr")

    assert "generating" in verbs(built)
    assert "alice" in json.dumps(manifest)
    assert "error[security.unsigned]" in project.refused(trusting)
    assert "error[security.unsigned]" in project.refused(requiring)
    assert "require_signature is True or False" in project.refused("how={'require_signature':'no'}")
    assert "unknown option 'trusted'" in project.refused("how={'trusted':'keys'}")

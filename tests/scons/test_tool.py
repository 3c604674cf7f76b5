"""The SCons tool in small projects of a user: what is built, what is built again, and how it fails."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.tuned.records import write_records
from tests.tuned.made_records import forests

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "apr" / "real"

HEAD = """
import os
from aprgen.scons import generate as aprgen
env = Environment(tools=["default", aprgen], ENV=os.environ)
"""
APP = """
#include <stdio.h>
#include "brake.h"
int main(void)
{
    static const float x[BRAKE_N_FEATURES] = {0.0F};
    printf("class %d\\n", (int)brake_classify(x));
    return 0;
}
"""
PROJECT = """
brake = env.AprModel("brake", "brake.apr", budget={"flash": int(ARGUMENTS.get("flash", 65536))})
app = env.Program("app", ["app.c", brake], CPPPATH=[brake.include])
env.RunTest("app.txt", app)
"""


class Project:
    """A folder with an SConstruct and the model brake.apr."""

    def __init__(self, folder: Path, sconstruct: str) -> None:
        self.folder = folder
        (folder / "SConstruct").write_text(HEAD + sconstruct)
        (folder / "app.c").write_text(APP)
        shutil.copy(DATA / "rfc.apr", folder / "brake.apr")

    def scons(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "SCons", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def build(self, *words: str) -> list[str]:
        """The steps that were taken."""
        done = self.scons("-Q", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return steps(done.stdout)

    def refused(self, *words: str) -> str:
        """What SCons says when the build fails, with its status 2."""
        done = self.scons("-Q", *words)
        assert done.returncode == 2, done.stdout + done.stderr
        return done.stdout + done.stderr


def steps(printed: str) -> list[str]:
    return re.findall(r"^(?:generating|compiling|measuring|testing|running|gcc|Retrieved|Removed) ?\S*", printed, re.M)


@pytest.fixture
def project(tmp_path: Path, require_target: Callable[[str], None]) -> Project:
    require_target("host")
    return Project(tmp_path, PROJECT)


def verbs(taken: list[str]) -> set[str]:
    return {step.split()[0] for step in taken}


def test_model_is_linked_and_run(project: Project) -> None:
    """AprModel's result links into a program, whose output RunTest keeps in a file."""
    assert verbs(project.build()) == {"generating", "compiling", "measuring", "gcc", "running"}
    assert re.fullmatch(r"class \d+\n", (project.folder / "app.txt").read_text())


def test_nothing_is_done_twice(project: Project) -> None:
    """A second build does nothing, also when the model was touched."""
    project.build()
    os.utime(project.folder / "brake.apr")

    assert project.build() == []


def test_only_what_changed_is_built(project: Project) -> None:
    """Another model is generated, compiled and linked anew; another budget is only measured anew."""
    project.build()
    budget = project.build("flash=60000")
    shutil.copy(DATA / "dtc_unlimited.apr", project.folder / "brake.apr")

    assert verbs(budget) == {"measuring"}
    assert {"generating", "compiling", "measuring"} <= verbs(project.build("flash=60000"))


def test_option_generates_anew(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """An option of AprModel is part of what the generated files depend on."""
    require_target("host")
    project = Project(tmp_path, 'env.AprModel("brake", "brake.apr", **ARGUMENTS)')
    project.build()

    assert "generating brake" in project.build("numeric=f32")


def test_records_generate_anew(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Records that choose strategies are read again when they change, and the manifest names them."""
    require_target("x86-avx2")
    project = Project(tmp_path, 'env.AprModel("brake", "brake.apr", target="x86-avx2", tuned="records.json")')
    for n_records in (21, 20):
        write_records(tmp_path / "records.json", forests()[:n_records])
        assert "generating brake" in project.build()
        manifest = json.loads((tmp_path / "build/x86-avx2/brake/manifest.json").read_text())
        digest = hashlib.sha256((tmp_path / "records.json").read_bytes()).hexdigest()
        assert (manifest["tuned"]["records"], manifest["tuned"]["by"]) == (digest, "learned")
    assert "generating brake" not in project.build()


def test_cache_restores_everything(project: Project) -> None:
    """After `scons -c` a build takes all files out of the cache: nothing is generated, compiled or run."""
    with (project.folder / "SConstruct").open("a") as file:
        file.write('CacheDir("cache")\n')
    project.build()
    before = contents(project.folder / "build")
    project.build("-c")

    assert verbs(project.build()) == {"Retrieved"}
    assert contents(project.folder / "build") == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_generated_folder_is_that_of_compile(project: Project) -> None:
    """The generated files are those that `aprgen compile` writes, byte for byte; other runtime headers stand beside."""
    project.build()
    words = ("compile", "brake.apr", "--target", "host", "--name", "brake", "-o", "other", "--no-measure")
    subprocess.run([sys.executable, "-m", "aprgen", *words], cwd=project.folder, check=True, capture_output=True)
    found, wanted = contents(project.folder / "build/host/brake"), contents(project.folder / "other")

    assert {name: found[name] for name in wanted} == wanted
    assert {name for name in found if name not in wanted} <= {
        path.name for path in (ROOT / "runtime_c").rglob("apr_*.h")
    }


def test_missed_budget_fails_at_the_object(project: Project) -> None:
    """Too small a budget fails the build at NAME.o with both numbers, and nothing is linked."""
    said = project.refused("flash=100")

    assert re.search(r"\[build/host/brake\.o\] error\[budget\.flash\]: brake needs \d+ bytes of flash, .* 100", said)
    assert not (project.folder / "app").exists()


def test_stack_budget_is_measured(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A budget of stack is compared with the stack that was painted on the emulated board."""
    require_target("cortex-m4")
    project = Project(tmp_path, 'env.AprModel("brake", "brake.apr", target="cortex-m4", budget={"stack": 4})')

    assert re.search(r"brake needs \d+ bytes of stack, the budget is 4", project.refused())


def test_footprint_is_reported(project: Project) -> None:
    """NAME.footprint.json states the measured bytes and the budget."""
    project.build()
    facts = json.loads((project.folder / "build/host/brake.footprint.json").read_text())

    assert facts["flash_bytes"] == facts["text_bytes"] + facts["rodata_bytes"] + facts["data_bytes"] > 0
    assert facts["budget"] == {"flash": 65536}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('env.AprModel("brake", "brake.apr", budget={"cycles": 100})', "a budget of time needs a bound"),
        ('env.AprModel("brake", "brake.apr", target="cortex-m7", budget={"cycles": 9})', "not for target cortex-m7"),
        ('env.AprModel("brake", "brake.apr", budget={"disk": 100})', "unknown budget 'disk'"),
        ('env.AprModel("brake", "brake.apr", budget={"ram": "1k"})', "must be a number of bytes"),
        ('env.AprModel("brake", "brake.apr", target="cortex-m5")', "no target is called 'cortex-m5'"),
        ('env.AprModel("brake", "brake.apr", speed="high")', "unknown option 'speed'"),
        ('env.AprModel("a-b", "brake.apr")', "'a-b' is no name for C functions"),
    ],
)
def test_wrong_request_names_the_line(tmp_path: Path, call: str, said: str) -> None:
    """What is wrong in an SConstruct is said at once, with its line; nothing is built."""
    project = Project(tmp_path, f"{call}\n")

    printed = project.refused()

    assert said in printed
    assert f"SConstruct, line {len(HEAD.splitlines()) + 1}: AprModel" in printed
    assert not (tmp_path / "build").exists()


def test_bad_model_fails_with_the_message_of_compile(project: Project) -> None:
    """A file that is no model fails the generating step with the three lines of the command."""
    (project.folder / "brake.apr").write_bytes(b"no model at all, but long enough to have a header")

    said = project.refused()

    assert "[build/host/brake/brake.c] error[" in said
    assert "  where: " in said
    assert "  to do: " in said
    assert not (project.folder / "build/host/brake/brake.c").exists()


def test_missing_compiler_fails_at_the_object(tmp_path: Path) -> None:
    """Without a compiler the C is generated; compiling it fails, and the message says what to install."""
    project = Project(tmp_path, 'env.AprModel("brake", "brake.apr", target="cortex-m4", tools="none")')

    assert "[build/cortex-m4/brake.unchecked.o] error[toolchain.preference]" in project.refused()
    assert (tmp_path / "build/cortex-m4/brake/brake.c").is_file()


def test_user_target_file(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A target file of the user's own, in a folder below, gives a build folder of its name."""
    require_target("cortex-m4")
    project = Project(tmp_path, 'SConscript("firmware/SConscript", exports="env")')
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "board.toml").write_text('extends = "cortex-m4"\nname = "my-board"\n')
    (tmp_path / "firmware" / "SConscript").write_text(
        'Import("env")\nenv.AprModel("brake", "#brake.apr", target="./board.toml")\n'
    )
    project.build()

    assert (tmp_path / "build/my-board/brake.o").is_file()


def test_report_of_a_test(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """AprTest runs the model on the target's runner and keeps the report."""
    require_target("cortex-m4")
    project = Project(tmp_path, 'env.AprTest("brake", "brake.apr", target="cortex-m4", rows=30)')
    project.build()
    report = json.loads((tmp_path / "build/cortex-m4/brake.test.json").read_text())

    assert (report["passed"], report["rows"]["random"]) == (True, 30)


def test_failing_program_fails_the_build(project: Project) -> None:
    """A program that ends with another status than 0 fails the build; what it printed is shown, and no file stays."""
    (project.folder / "app.c").write_text('#include <stdio.h>\nint main(void) { puts("lost a wheel"); return 3; }\n')

    said = project.refused()

    assert "lost a wheel" in said
    assert "exit status 3" in said
    assert not (project.folder / "app.txt").exists()


def test_steps_run_at_the_same_time(tmp_path: Path) -> None:
    """With -j 2 two steps overlap: a step is a process, and Python does not hold the other up."""
    clock = "import sys, time; print(time.time()); time.sleep(2); print(time.time())"
    project = Project(
        tmp_path,
        f"for name in 'ab':\n    env.RunTest(name + '.txt', 'app.c', [{sys.executable!r}, '-c', {clock!r}])\n",
    )
    project.build("-j2")
    (start_a, end_a), (start_b, end_b) = (map(float, (tmp_path / f"{n}.txt").read_text().split()) for n in "ab")

    assert max(start_a, start_b) < min(end_a, end_b)


SIGNED = 'env.AprModel("brake", "brake.apr", trust="keys", key="board.key")\n'


def test_signed_and_encrypted_model(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A model is taken from its signer only; a key that joins or leaves the folder of trust is a change."""
    require_target("host")
    project = Project(tmp_path, SIGNED)
    (tmp_path / "keys").mkdir()
    for words in (
        ("keygen", "keys/alice"),
        ("keygen", "board", "--for", "encrypt"),
        ("encrypt", "brake.apr", "--recipient", "board.pub", "--sign-key", "keys/alice.key", "-o", "brake.apr"),
    ):
        subprocess.run([sys.executable, "-m", "aprgen", *words], cwd=tmp_path, check=True, capture_output=True,
                       env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert "generating brake" in project.build()
    manifest = json.loads((tmp_path / "build" / "host" / "brake" / "manifest.json").read_text())
    assert manifest["signature"]["trusted_as"] == "alice"
    assert project.build() == []

    (tmp_path / "keys" / "alice.pub").rename(tmp_path / "keys" / "bob.pub")
    assert "generating brake" in project.build()
    (tmp_path / "keys" / "bob.pub").write_bytes(bytes.fromhex("58" + "66" * 31))
    assert "error[security.signer]" in project.refused()

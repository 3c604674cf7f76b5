"""`aprgen compile`: what it writes, that it is reproducible, and that a failure leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.api import load
from tests.cli.commands import DATA, Answer, Command, is_three_lines, process
from tests.recorded import fixtures

RFC = DATA / "real" / "rfc.apr"
LOGREG = DATA / "real" / "logreg_bc.apr"
FILES = ["apr_mark.h", "apr_rt.h", "manifest.json", "rfc.c", "rfc.h", "rfc_selftest.c"]
WIDE = ["apr_bits.h", "apr_lines.h", "apr_wide.h"]  # for blocks of rows


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_files(aprgen: Command, tmp_path: Path) -> None:
    """The folder holds C, header, self-test, manifest and the runtime headers, and nothing else."""
    answer = aprgen("compile", RFC, "-o", tmp_path / "out", "--no-measure")

    assert (answer.status, answer.err) == (0, "")
    assert list(contents(tmp_path / "out")) == FILES


def test_manifest_has_the_digests(aprgen: Command, tmp_path: Path) -> None:
    """manifest.json states the sha256 of every other file."""
    aprgen("compile", RFC, "-o", tmp_path / "out", "--no-measure")
    files = contents(tmp_path / "out")
    manifest = json.loads(files.pop("manifest.json"))

    assert manifest["sha256"]["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert manifest["sha256"]["model"] == hashlib.sha256(RFC.read_bytes()).hexdigest()


@pytest.mark.parametrize("target", ["host", "cortex-m3", "wasm"])
def test_same_input_same_bytes(tmp_path: Path, target: str) -> None:
    """Two processes with other hash seeds, in other folders, from another copy, write the same bytes."""
    copy = tmp_path / "elsewhere" / "rfc.apr"
    copy.parent.mkdir()
    copy.write_bytes(RFC.read_bytes())
    for seed, model in (("1", RFC), ("2", copy)):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        out = tmp_path / f"out{seed}"
        process("compile", model, "--target", target, "-o", out, "--no-measure", environment=environment)

    own = {"cortex-m3": ["apr_soft_float.h"], "wasm": WIDE}.get(target, [])
    assert list(contents(tmp_path / "out1")) == sorted([*FILES, *own])
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")


def test_banner_names_no_path(aprgen: Command, tmp_path: Path) -> None:
    """Generated files say how to reproduce them without a word of where they were made."""
    aprgen("compile", RFC, "-o", tmp_path / "out", "--target", "cortex-m4", "--no-measure")
    text = b"".join(contents(tmp_path / "out").values()).decode()

    assert "aprgen compile rfc.apr --target cortex-m4" in text
    assert str(tmp_path) not in text
    assert str(DATA) not in text


def test_name_of_the_file(aprgen: Command, tmp_path: Path) -> None:
    """The name comes from the file's, as far as C allows it."""
    model = tmp_path / "3 way-valve.apr"
    model.write_bytes(RFC.read_bytes())
    aprgen("compile", model, "-o", tmp_path / "out", "--no-measure")

    assert (tmp_path / "out" / "m_3_way_valve.c").is_file()


def test_folder_of_the_name(tmp_path: Path) -> None:
    """Without -o the folder is ./NAME."""
    answer = process("compile", RFC, "--name", "brake", "--no-measure", folder=tmp_path)

    assert answer.status == 0
    assert "brake/: " in answer.out
    assert (tmp_path / "brake" / "brake.h").is_file()


def test_footprint(aprgen: Command, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Flash by section, RAM and frames of the built model are printed and in the JSON."""
    require_tool("arm-none-eabi-gcc")
    answer = aprgen("compile", RFC, "-t", "cortex-m4", "-o", tmp_path / "out", "--format", "json")
    footprint = answer.json["footprint"]

    assert answer.json["unmeasured"] is None
    assert footprint["flash_bytes"] == sum(footprint["sections"][name] for name in ("text", "rodata", "data"))
    assert footprint["flash_bytes"] > answer.json["manifest"]["table_bytes"]
    assert {"rfc_scores", "rfc_classify"} <= {function["name"] for function in footprint["functions"]}
    text = aprgen("compile", RFC, "-t", "cortex-m4", "-o", tmp_path / "out").out
    assert f"flash      {footprint['flash_bytes']} bytes" in text


def test_json_lists_the_files(aprgen: Command, tmp_path: Path) -> None:
    """JSON gives each file's size and the manifest."""
    answer = aprgen("compile", RFC, "-o", tmp_path / "out", "--no-measure", "--format", "json")

    assert list(answer.json["files"]) == FILES
    assert answer.json["files"]["rfc.c"] == (tmp_path / "out" / "rfc.c").stat().st_size
    assert answer.json["unmeasured"] == "not asked for (--no-measure)"


@pytest.mark.parametrize("path", fixtures(), ids=lambda path: path.stem)
def test_every_fixture(aprgen: Command, tmp_path: Path, path: Path) -> None:
    """A fixture compiles exactly when validate passes it."""
    status = aprgen("validate", path).status
    answer = aprgen("compile", path, "-o", tmp_path / "out", "--no-measure")

    assert answer.status == status
    assert (tmp_path / "out").exists() == (status == 0)


# -- failures: three lines, the status, and nothing left behind --


def refused(answer: Answer, folder: Path, status: int, code: str) -> bool:
    return answer.status == status and is_three_lines(answer, code) and answer.out == "" and not list(folder.iterdir())


def test_no_apr_file(aprgen: Command, tmp_path: Path) -> None:
    """A file that is no .apr is status 3."""
    answer = aprgen("compile", Path(__file__), "-o", tmp_path / "out")

    assert refused(answer, tmp_path, 3, "container.magic")


def test_encrypted(aprgen: Command, tmp_path: Path) -> None:
    """An encrypted file is refused with status 4."""
    answer = aprgen("compile", DATA / "real" / "encpw_kmeans.apr", "-o", tmp_path / "out")

    assert refused(answer, tmp_path, 4, "security.encrypted")


def test_unknown_target(aprgen: Command, tmp_path: Path) -> None:
    """A target that does not exist is status 5, with the nearest names."""
    answer = aprgen("compile", RFC, "--target", "cortex-m5", "-o", tmp_path / "out")

    assert refused(answer, tmp_path, 5, "target.unknown")
    assert "did you mean" in answer.error_lines[2]


def test_folder_is_a_file(aprgen: Command, tmp_path: Path) -> None:
    """A file where the folder should be is status 2, and stays as it was."""
    (tmp_path / "out").write_text("mine")
    for out in (tmp_path / "out", tmp_path / "out" / "deeper"):
        answer = aprgen("compile", RFC, "-o", out, "--no-measure")
        assert answer.status == 2
        assert is_three_lines(answer, "output.no_folder")
    assert contents(tmp_path) == {"out": b"mine"}


def test_unwritable_folder(aprgen: Command) -> None:
    """A folder in which nobody may write, root included, is status 2."""
    answer = aprgen("compile", RFC, "-o", "/proc/aprgen/out", "--no-measure")

    assert answer.status == 2
    assert is_three_lines(answer, "output.unwritable")
    assert "/proc/aprgen/out" in answer.error_lines[1]


def test_nothing_of_others_is_lost(aprgen: Command, tmp_path: Path) -> None:
    """A file of that name that aprgen did not write is not replaced, and no other file is written."""
    (tmp_path / "rfc.c").write_text("int main(void) { return 0; }\n")
    answer = aprgen("compile", RFC, "-o", tmp_path, "--no-measure")

    assert answer.status == 2
    assert is_three_lines(answer, "output.foreign")
    assert contents(tmp_path) == {"rfc.c": b"int main(void) { return 0; }\n"}


def test_own_files_are_replaced(aprgen: Command, tmp_path: Path) -> None:
    """Compiling again, for another target, replaces what aprgen wrote, and leaves other files alone."""
    (tmp_path / "notes.txt").write_text("mine")
    aprgen("compile", RFC, "-o", tmp_path, "--no-measure")
    before = contents(tmp_path)
    answer = aprgen("compile", RFC, "-o", tmp_path, "--target", "cortex-m0plus", "--no-measure")
    after = contents(tmp_path)

    assert answer.status == 0
    assert list(after) == sorted([*FILES, "apr_soft_float.h", "notes.txt"])
    assert before["rfc.c"] != after["rfc.c"]
    assert after["notes.txt"] == b"mine"


def test_failure_half_way(aprgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while renaming leaves neither files nor the folders that were made."""

    def full(self: Path, target: Path) -> Path:
        if self.name.startswith(".rfc.h"):
            raise OSError(28, "No space left on device")
        os.replace(self, target)
        return target

    monkeypatch.setattr(Path, "replace", full)
    answer = aprgen("compile", RFC, "-o", tmp_path / "a" / "b", "--no-measure")

    assert refused(answer, tmp_path, 2, "output.unwritable")


def tiny_target(folder: Path, flash_bytes: int) -> Path:
    """A Cortex-M0+ with very little flash."""
    path = folder / "tiny.toml"
    path.write_text(
        f'extends = "cortex-m0plus"\nname = "tiny"\n[memory]\nflash_bytes = {flash_bytes}\nram_bytes = 16384\n'
    )
    return path


def test_tables_too_big(aprgen: Command, tmp_path: Path) -> None:
    """Tables that alone exceed the flash are status 6, without a compiler."""
    (tmp_path / "work").mkdir()
    answer = aprgen("compile", RFC, "-t", tiny_target(tmp_path, 100), "-o", tmp_path / "work" / "out", "--no-measure")

    assert refused(answer, tmp_path / "work", 6, "budget.flash")


def test_code_too_big(aprgen: Command, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """A model that exceeds the flash once it is built is status 6, and its C is not written."""
    require_tool("arm-none-eabi-gcc")
    (tmp_path / "work").mkdir()
    answer = aprgen("compile", RFC, "-t", tiny_target(tmp_path, 500), "-o", tmp_path / "work" / "out")

    assert refused(answer, tmp_path / "work", 6, "budget.flash")


def without_programs(tmp_path: Path) -> dict[str, str]:
    """An environment with nothing on PATH, and a Python without the fallback compilers."""
    return {"PATH": str(tmp_path / "empty"), "HOME": str(tmp_path)}


def test_missing_compiler_does_not_stop_compile(tmp_path: Path) -> None:
    """C can be written without a compiler; one line says why nothing was measured, or what was found instead."""
    out = tmp_path / "out"
    answer = process("compile", RFC, "-o", out, "-t", "x86-avx2", environment=without_programs(tmp_path))

    assert answer.status == 0
    assert list(contents(out)) == sorted([*FILES, *WIDE, "apr_gather.h"])
    assert "not measured: no compiler" in answer.out or "compiler   ziglang" in answer.out


def test_named_compiler_must_be_there(tmp_path: Path) -> None:
    """Tools that the user named and that are missing are status 7, with what to install."""
    (tmp_path / "work").mkdir()
    words = ("compile", RFC, "-o", tmp_path / "work" / "out", "--tools", "system", "-t", "cortex-m4")
    answer = process(*words, environment=without_programs(tmp_path))

    assert refused(answer, tmp_path / "work", 7, "toolchain.missing")
    assert "apt-get install" in answer.error_lines[2]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--name", "int"), 2, "usage.name"),
        (("--optimise", "speed"), 2, "usage.arguments"),
        (("--name", "a b"), 2, "usage.name"),
        (("--numeric", "s7"), 5, "numeric.mode"),
        (("--calibrate", "rows.npy"), 2, "inputs.unreadable"),
        (("--max-loss", "much"), 2, "usage"),
        (("--as", "Perceptron"), 2, "usage.struct"),
        (("--as", "KMeans"), 3, "payload"),
        (("--target", "missing.toml"), 2, "target.file"),
    ],
)
def test_refused_options(aprgen: Command, tmp_path: Path, words: tuple[str, ...], status: int, code: str) -> None:
    """Options that cannot be served are refused before anything is written."""
    answer = aprgen("compile", RFC, "-o", tmp_path / "out", "--no-measure", *words)

    assert answer.status == status
    assert answer.error_lines[0].startswith(f"error[{code}")
    assert len(answer.error_lines) == 3
    assert list(tmp_path.iterdir()) == []



def test_optimise_is_in_banner_and_manifest(aprgen: Command, tmp_path: Path) -> None:
    """`--optimise mean` makes other code, says how to make it again, and stands in the manifest."""
    digits = Path(__file__).parents[2] / "examples" / "digits" / "digits.apr"
    answer = aprgen("compile", digits, "--optimise", "mean", "--no-measure", "-t", "cortex-m4", "-o", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())

    assert answer.status == 0
    assert manifest["options"]["optimise"] == "mean"
    assert "branch_votes" in manifest["steps"]
    source = (tmp_path / "out" / "digits.c").read_text()
    assert " *   aprgen compile digits.apr --target cortex-m4 --optimise mean\n" in source


def test_integer_mode_says_what_it_loses(aprgen: Command, tmp_path: Path) -> None:
    """`--numeric s16 --calibrate` prints accuracy, worst rows and a manifest with the same figures."""
    rows = tmp_path / "rows.npy"
    np.save(rows, np.random.RandomState(1).normal(size=(50, 4)).astype(np.float32))
    words = ("--numeric", "s16", "--calibrate", rows, "--no-measure", "-o", tmp_path / "out")
    answer = aprgen("compile", DATA / "v2" / "v2_mlp_f32.apr", *words)

    assert answer.status == 0
    assert "calibrated 50 rows of rows.npy, minmax" in answer.out
    assert "of their spread" in answer.out
    accuracy = json.loads((tmp_path / "out" / "manifest.json").read_text())["accuracy"]
    assert accuracy["n_rows"] == 50
    assert 0 < accuracy["relative_difference"] < 0.001


def test_too_large_a_loss_is_refused(aprgen: Command, tmp_path: Path) -> None:
    """--max-loss is a gate: status 1, and nothing is written."""
    rows = tmp_path / "rows.npy"
    np.save(rows, np.random.RandomState(1).normal(size=(50, 4)).astype(np.float32))
    words = ("--numeric", "s8", "--calibrate", rows, "--max-loss", "0.01%", "--no-measure", "-o", tmp_path / "out")
    answer = aprgen("compile", DATA / "v2" / "v2_mlp_f32.apr", *words)

    assert answer.status == 1
    assert answer.error_lines[0].startswith("error[numeric.loss")
    assert not (tmp_path / "out").exists()


def test_manifest_and_c_state_the_same_proofs(aprgen: Command, tmp_path: Path) -> None:
    """What is proved of each step stands in manifest.json with the limit of its type, and in a comment of the C."""
    np.save(tmp_path / "rows.npy", np.random.RandomState(1).normal(size=(50, 30)).astype(np.float32))
    words = ("--numeric", "s16", "--calibrate", tmp_path / "rows.npy", "--no-measure", "-o", tmp_path / "out")
    assert aprgen("compile", LOGREG, *words).status == 0

    proofs = json.loads((tmp_path / "out" / "manifest.json").read_text())["proofs"]
    dense = next(proof for proof in proofs if proof["kernel"] == "integer_sum_i16")
    curve = next(proof for proof in proofs if proof["kernel"] == "interpolate_i16")
    text = " ".join((tmp_path / "out" / "logreg_bc.c").read_text().replace("\n *", "").split())
    assert (dense["quantity"], dense["limit"]) == ("sum", 2**31 - 1)
    assert f"largest is {dense['largest']}." in text
    assert curve["largest"] < 1e-4
    assert f"No result is more than {curve['largest']:.3g} from the function." in text


def test_labels_tell_accuracy_before_and_after(aprgen: Command, tmp_path: Path) -> None:
    """With --labels the share of right labels is printed before and after, and --max-loss counts what is lost of it."""
    random = np.random.RandomState(1)
    rows = random.normal(size=(50, 30)).astype(np.float32)
    right = load(LOGREG).classify(rows)
    assert right is not None
    right[:5] = 1 - right[:5]  # five that the model gets wrong
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "labels.csv").write_text("label\n" + "\n".join(str(label) for label in right) + "\n")
    words = ("--calibrate", tmp_path / "rows.npy", "--labels", tmp_path / "labels.csv", "--no-measure")
    answer = aprgen("compile", LOGREG, "--numeric", "s16", *words, "-o", tmp_path / "out")

    assert answer.status == 0
    assert "right      90.00% of labels are right before, 90.00% after" in answer.out
    truth = json.loads((tmp_path / "out" / "manifest.json").read_text())["accuracy"]["truth"]
    assert truth == {"labels": True, "before": 0.9, "after": 0.9}


def test_labels_of_other_rows_are_refused(aprgen: Command, tmp_path: Path) -> None:
    """As many labels as rows, and none without rows."""
    np.save(tmp_path / "rows.npy", np.zeros((5, 30), np.float32))
    np.save(tmp_path / "labels.npy", np.zeros(4, np.float32))
    words = ("--numeric", "s16", "--labels", tmp_path / "labels.npy", "--no-measure", "-o", tmp_path / "out")
    other = aprgen("compile", LOGREG, *words, "--calibrate", tmp_path / "rows.npy")
    alone = aprgen("compile", LOGREG, *words)

    assert (other.status, alone.status) == (2, 2)
    assert "the labels have shape [4], 5 rows need [5, 1]" in other.error_lines[0]
    assert "labels belong to rows" in alone.error_lines[0]


def test_a_forest_needs_no_rows_for_integers(aprgen: Command, tmp_path: Path) -> None:
    """Trees are exact integers in every mode; what rows would add is said."""
    answer = aprgen("compile", RFC, "--numeric", "s8", "--no-measure", "-o", tmp_path / "out")

    assert answer.status == 0
    assert "no functions of codes" in answer.out
    assert "--calibrate" in answer.out
    assert "_q(" not in (tmp_path / "out" / "rfc.h").read_text()


def test_rows_give_a_forest_functions_of_codes(aprgen: Command, tmp_path: Path) -> None:
    """Rows on a grid lose nothing; the header says how to make codes, and a loss of rows without one is measured."""
    rows = tmp_path / "rows.npy"
    generator = np.random.RandomState(1)
    np.save(rows, (generator.randint(0, 1000, size=(50, 4)) / 10).astype(np.float32))
    words = ("compile", RFC, "--numeric", "s16", "--calibrate", rows, "--no-measure", "-o", tmp_path / "out")
    answer = aprgen(*words, "--max-loss", "0%")
    header = (tmp_path / "out" / "rfc.h").read_text()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    coarse = tmp_path / "coarse.npy"
    np.save(coarse, generator.normal(size=(400, 4)).astype(np.float32) * 50)
    refused_answer = aprgen("compile", RFC, "--numeric", "s8", "--calibrate", coarse, "--max-loss", "0%")

    assert answer.status == 0
    assert "functions of codes: 0 of 50 labels change" in answer.out
    assert "#define RFC_X_PER_UNIT 0x1.4p+3F /* 10 */\n" in header
    assert "#define RFC_X_ZERO 0\n" in header
    assert "int32_t rfc_classify_q(const int16_t x[RFC_N_FEATURES]);" in header
    assert {"rfc_predict_q", "rfc_scores_q", "rfc_classify_q"} <= set(manifest["functions"])
    assert manifest["accuracy"]["of_codes"] is True
    assert manifest["accuracy"]["largest_difference"] == 0
    assert refused_answer.status == 1
    assert "functions of codes" in refused_answer.err


def test_rows_that_are_cut_are_noted(aprgen: Command, tmp_path: Path) -> None:
    """Columns that a forest ignores may be labels or a shift of all columns: printed, and in the manifest."""
    (tmp_path / "rows.csv").write_text("5.1,3.5,1.4,0.2,9\n6.2,2.9,4.3,1.3,8\n")
    words = ("--numeric", "s8", "--calibrate", tmp_path / "rows.csv", "--no-measure", "-o", tmp_path / "out")
    answer = aprgen("compile", RFC, *words)
    note = "rows have 5 columns; this model ignores those after the first 4"

    assert answer.status == 0
    assert f"note       {note}\n" in answer.out
    assert note in json.loads((tmp_path / "out" / "manifest.json").read_text())["findings"]


def test_a_number_that_no_scale_carries(aprgen: Command, tmp_path: Path) -> None:
    """It is named as people write it."""
    (tmp_path / "rows.csv").write_text("5.1,3.5,1.4,0.2\n6.2,1e30,4.3,1.3\n")
    answer = aprgen("compile", RFC, "--numeric", "s8", "--calibrate", tmp_path / "rows.csv", "-o", tmp_path / "out")

    assert is_three_lines(answer, "numeric.calibrate")
    assert "row 1 has 1e+30 as feature 1" in answer.error_lines[0]

"""C that other generators make of a fitted estimator, behind the function that the harness calls.

Knows emlearn, m2cgen, micromlgen, TL2cgen and YDF, which only the benchmark needs and imports when asked.
Each gets its best: features in its own type, single precision where it writes double, sums instead of probabilities
where it offers them, and an exponential function that is aprgen's, so that no C library is linked.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from estimators import Subject
from numpy.typing import NDArray
from trained import Trained, emlearn_source

from aprgen.resources import folder

EMLEARN_SCALES: Mapping[str, float] = {"rf_digits": 2.0, "rf_iris": 20.0}  # what makes the features integers
TOO_LARGE: Mapping[str, str] = {  # does not assemble for Thumb: branches out of range in one function
    "rf_digits": "m2cgen",
}
SHARE_BITS = 8  # the most that emlearn has
TOO_SLOW = ("rf_digits",)  # to compile once more as code for each split
NOT_COMPARED = (  # and why, for the page
    "rf_digits, m2cgen: all trees are one function of over a megabyte; its branches do not reach, it does not assemble",
    "rf_digits, TL2cgen and YDF if-else: one such function each, minutes to compile; measured before, TL2cgen's floats "
    "do not assemble, and its codes take 2.8 MB and more",
    "boosted trees, YDF: it imports no boosted classifier; gb_bc, m2cgen: it has no boosting of scikit-learn",
    "networks, emlearn: the loop of its integer network is empty",
    "onnx2c, CMSIS-NN: no package index has them; figures of earlier runs stand for them",
)


@dataclass(frozen=True, eq=False)
class PeerCode:
    """A generator's code for a model. rows: what it reads, as float32 words; flags: beyond those of the target."""

    tool: str
    sources: Mapping[str, str]
    rows: NDArray[np.float32]
    flags: tuple[str, ...] = ()


def peer_codes(subject: Subject) -> Iterator[PeerCode]:
    """The code of every generator that is installed and takes the model."""
    # Importing one of them makes numpy raise on underflow, and another writes files into the folder it is called in.
    with np.errstate(), tempfile.TemporaryDirectory() as made_in, contextlib.chdir(made_in):
        made = list(_codes(subject))
    yield from made


def _codes(subject: Subject) -> Iterator[PeerCode]:
    kind = type(subject.estimator).__name__
    if kind == "RandomForestClassifier" and _installed("emlearn"):
        yield from _emlearn_forests(subject)
    if kind == "GaussianNB" and _installed("emlearn"):
        yield _emlearn_bayes(subject)
    if kind in _OF_M2CGEN and TOO_LARGE.get(subject.name) != "m2cgen" and _installed("m2cgen"):
        yield _m2cgen(subject)
    if kind in _OF_TL2CGEN and subject.name not in TOO_SLOW and _installed("tl2cgen") and _installed("treelite"):
        yield from _tl2cgen(subject)
    if kind == "RandomForestClassifier" and _installed("ydf"):
        yield from _ydf(subject)
    if kind == "PCA" and _installed("micromlgen"):
        yield _micromlgen_projection(subject)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _emlearn_forests(subject: Subject) -> Iterator[PeerCode]:
    """Trained again on features that are integers, as emlearn's code takes them; votes are one a tree."""
    scale = EMLEARN_SCALES[subject.name]
    model = subject.estimator
    integers = type(model)(**model.get_params()).fit(np.rint(subject.train_x * scale), subject.train_y)
    n = model.n_features_in_
    trained = Trained((), n, len(model.classes_), subject.rows, scale, integers)
    packed = np.zeros((len(subject.rows), n * 2), np.int16)
    packed[:, :n] = np.rint(subject.rows * scale).astype(np.int16)
    for method in ("inline", "loadable"):
        yield PeerCode(f"emlearn {method} int16", emlearn_source(trained, method), packed.view(np.float32))
    method = "loadable" if subject.name in TOO_SLOW else "inline"
    soft = emlearn_source(trained, method, leaf_bits=SHARE_BITS)
    yield PeerCode(f"emlearn {method} int16 shares", soft, packed.view(np.float32))


def _emlearn_bayes(subject: Subject) -> PeerCode:
    emlearn = importlib.import_module("emlearn")
    model = subject.estimator
    code = emlearn.convert(model).save(name="peer")
    headers = {path.name: path.read_text() for path in Path(emlearn.includedir).glob("eml_*.h")}
    body = f"return peer_predict(x, {model.n_features_in_});"
    return PeerCode("emlearn Q16", headers | _wrapped(code, labelled=True, body=body), subject.rows)


_OF_M2CGEN = (
    "RandomForestClassifier", "LGBMClassifier", "XGBClassifier", "LogisticRegression", "LinearSVC", "LinearRegression"
)  # fmt: skip


def _m2cgen(subject: Subject) -> PeerCode:
    """Its double is float here: double takes 12 to 35 times the instructions on these cores."""
    text = str(importlib.import_module("m2cgen").export_to_c(subject.estimator))
    code = re.sub(r"\bdouble\b", "float", text)
    outputs = re.findall(r"float\[\]\)\{.*\}, (\d+) \* sizeof", code)
    if outputs:
        n = int(outputs[-1])
        body = f"float y[{n}];\n    score((float *)x, y);\n    return largest(y, {n});"
    else:
        body = "return score((float *)x) > 0.0F;" if subject.labelled else "out[0] = score((float *)x);"
    helper = _LARGEST if outputs else ""
    sources = _wrapped(code + helper, labelled=subject.labelled, body=body)
    return PeerCode("m2cgen as float", sources, subject.rows, ("-fsingle-precision-constant",))


_LARGEST = """
static int32_t largest(const float *y, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; ++i) {
        if (y[i] > y[best]) {
            best = i;
        }
    }
    return best;
}
"""


_OF_TL2CGEN: Mapping[str, tuple[str, str]] = {  # what imports the estimator, and what of it
    "RandomForestClassifier": ("sklearn.import_model", ""),
    "GradientBoostingClassifier": ("sklearn.import_model", ""),
    "LGBMClassifier": ("frontend.from_lightgbm", "booster_"),
    "XGBClassifier": ("frontend.from_xgboost", "get_booster"),
}


def _tl2cgen(subject: Subject) -> Iterator[PeerCode]:
    """Floats compared as they are, and codes of 32 bits that it makes of the row first; margins, not probabilities."""
    path, member = _OF_TL2CGEN[type(subject.estimator).__name__]
    importer: Any = importlib.import_module("treelite")
    for name in path.split("."):
        importer = getattr(importer, name)
    source = subject.estimator if not member else getattr(subject.estimator, member)
    model = importer(source() if callable(source) else source)
    for quantise in (0, 1):
        with tempfile.TemporaryDirectory() as made_in:
            importlib.import_module("tl2cgen").generate_c_code(model, made_in, {"quantize": quantise})
            files = {path.name: path.read_text() for path in Path(made_in).glob("*.[ch]")}
        yield _of_tl2cgen(subject, files, quantise)


def _of_tl2cgen(subject: Subject, files: Mapping[str, str], quantise: int) -> PeerCode:
    """Its files as one, double as float. Codes overwrite the row, so they get a copy; floats are read in place."""
    text = "\n".join(files[name] for name in sorted(files) if name.endswith(".h"))
    text += "\n".join(files[name] for name in sorted(files) if name.endswith(".c"))
    text = re.sub(r"\bdouble\b", "float", text.replace('#include "header.h"', ""))
    n, found = subject.estimator.n_features_in_, re.search(r"#define MAX_N_CLASS (\d+)", text)
    assert found is not None
    outputs = int(found[1])
    copied = f"union Entry row[{n}];\n    for (int i = 0; i < {n}; ++i) {{\n        row[i].fvalue = x[i];\n    }}"
    row = copied if quantise else "union Entry *row = (union Entry *)x;"
    decision = "y[0] > 0.0F" if outputs == 1 else f"largest(y, {outputs})"
    body = f"{row}\n    float y[{outputs}] = {{0}};\n    predict(row, 1, y);\n    return {decision};"
    code = text + (_LARGEST if outputs > 1 else "")
    name = "TL2cgen codes" if quantise else "TL2cgen as float"
    flags = ("-fsingle-precision-constant", "-fno-strict-aliasing")
    return PeerCode(name, _wrapped(code, labelled=True, body=body), subject.rows, flags)


def _ydf(subject: Subject) -> Iterator[PeerCode]:
    """Its C++ as C: one vote a tree, and a loop over packed nodes; code for each split of small forests only."""
    model = importlib.import_module("ydf").from_sklearn(subject.estimator)
    for algorithm in ("ROUTING",) if subject.name in TOO_SLOW else ("ROUTING", "IF_ELSE"):
        text = model.to_standalone_cc(name="peer", algorithm=algorithm, classification_output="CLASS")
        sources = _wrapped(_c_of_ydf(str(text)), labelled=True, body="return predict((const struct Instance *)x);")
        flags = ("-fsingle-precision-constant", "-fno-strict-aliasing")
        yield PeerCode(f"YDF {algorithm.lower().replace('_', '-')}", sources, subject.rows, flags)


def _c_of_ydf(text: str) -> str:
    """The function without a check for NaN, and what stands before it. What is not known of it will not compile."""
    before, _, rest = text.partition("inline Label PredictUnsafe(const Instance& instance) {")
    body, _, _ = rest.partition("\n}\n")
    before = re.sub(r"^#.*$|^namespace .*$", "", before, flags=re.MULTILINE)
    before = re.sub(r"enum class Label : \w+ \{.*?\};", "", before, flags=re.DOTALL)
    before = before.replace("constexpr const", "static const").replace("typedef float Numerical;", "")
    before = re.sub(r"(\w+ pos) = 0;", r"\1;", before).replace("const Node nodes", "const struct Node nodes")
    found = re.search(r"std::array<(\w+), (\d+)> accumulator \{[0, ]*\};", body)
    if found is None:
        raise ValueError("YDF's C++ looks different; its version is to be the pinned one")
    body = body.replace(found.group(), f"{found[1]} accumulator[{found[2]}] = {{0}};").replace("const Node*", _NODE)
    body = body.replace("std::memcpy", "__builtin_memcpy").replace("(&instance)", "instance")
    body = body.replace("instance.", "instance->")
    body = re.sub(r"return static_cast<Label>\(.*\);", "", body)
    return (
        f"typedef float Numerical;\n{before}static int32_t predict(const struct Instance *instance)\n{{{body}\n"
        f"    int32_t best = 0;\n    for (int32_t i = 1; i < {found[2]}; ++i) {{\n"
        "        best = (accumulator[i] > accumulator[best]) ? i : best;\n    }\n    return best;\n}\n"
    )


_NODE = "const struct Node *"


def _micromlgen_projection(subject: Subject) -> PeerCode:
    """Its two methods as C functions; the class around them is left out."""
    text = str(importlib.import_module("micromlgen").port(subject.estimator))
    transform = re.search(r"void transform\(.*?\n {20}\}", text, re.DOTALL)
    dot = re.search(r"float dot\(float \*x, \.\.\.\) \{.*?\n {20}\}", text, re.DOTALL)
    if transform is None or dot is None:
        raise ValueError("micromlgen's PCA looks different; its version is to be the pinned one")
    methods = f"static {dot.group()}\nstatic {transform.group()}\n".replace("float *dest = NULL", "float *dest")
    code = f"#include <string.h>\n#include <stdarg.h>\n{methods}"
    sources = _wrapped(code, labelled=False, body="transform((float *)x, out);")
    return PeerCode("micromlgen", sources, subject.rows)


def _wrapped(code: str, *, labelled: bool, body: str) -> dict[str, str]:
    """The code and m_classify or m_scores, which has the body; headers in place of those of a C library."""
    name = "int32_t m_classify(const float *x)" if labelled else "void m_scores(const float *x, float *out)"
    includes = "#include <stddef.h>\n#include <stdint.h>\n#include <math.h>\n"
    own = {
        "m.c": f"{includes}{code}\n{name};\n{name}\n{{\n    {body}\n}}\n",
        "m.h": "#include <stdint.h>\nint32_t m_classify(const float *x);\nvoid m_scores(const float *x, float *out);\n",
        "math.h": _MATH,
        "string.h": _STRING,
        "stdio.h": "",
        "assert.h": "#define assert(x)\n",
        "stdlib.h": "",
    }
    return own | {path.name: path.read_text() for path in folder("runtime_c").glob("apr_*.h")}


_MATH = """#include "apr_math.h"
#define exp apr_expf
#define expf apr_expf
#define roundf __builtin_roundf
#define NAN (__builtin_nanf(""))
"""


_STRING = """#include <stddef.h>
void *memset(void *to, int byte, size_t n);
void *memcpy(void *to, const void *from, size_t n);
"""

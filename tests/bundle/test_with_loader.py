"""Files that are embedded in a bundle, loaded where they lie by the device's loader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aprgen.bundle.compile import BundleOptions, compile_bundle
from aprgen.container.algorithms import new_key
from aprgen.container.protected import sign_v1
from aprgen.container.suites import STANDARD
from aprgen.device_loader import plan_loader
from aprgen.target import load_target
from tests.bundle.examples import wish
from tests.differential.compiled import WARNINGS, compile_c, write_texts
from tests.emission.test_compilers import run
from tests.loader.archives import write_loader
from tests.native.payloads import in_file, native_file, native_payload

# For every model: load what is embedded, and compare its scores with those of the specialised C, in bits.
MAIN = """
#include "apr_parts.h"
#include "fleet.h"

#include <stdio.h>

static const uint8_t keys[1][32] = {@KEY@};
static uint64_t room[FLEET_N_MODELS][8192];
static float workspace[4096];

int main(void)
{
    apr_parts parts = {keys, 1U, NULL, 0U};
    const apr_services services = apr_parts_services(&parts, 0U);
    for (uint32_t id = 0U; id < FLEET_N_MODELS; ++id) {
        const fleet_entry *const entry = fleet_at(id);
        const uint8_t *const bytes = fleet_bytes(id);
        float x[FLEET_MOST_FEATURES];
        float wanted[FLEET_MOST_OUTPUTS];
        float found[FLEET_MOST_OUTPUTS];
        apr_view view;
        apr_file file;
        apr_header header;
        uint32_t different = 0U;
        if (apr_header_read(&header, bytes, entry->data_bytes) != APR_LOAD_OK) {
            printf("%s: no header\\n", entry->name);
            continue;
        }
        const apr_load_status status =
            apr_load(&view, &file, bytes, entry->data_bytes, (uint8_t *)room[id], sizeof room[id], &services);
        printf("%s: %d, sizes %d, crc %d", entry->name, (int)status,
               (int)((apr_header_file_bytes(&header) == entry->data_bytes) &&
                     (header.unpacked_bytes == entry->unpacked_bytes)),
               (int)(entry->crc32 == ((uint32_t)bytes[entry->data_bytes - 4U] |
                                      ((uint32_t)bytes[entry->data_bytes - 3U] << 8) |
                                      ((uint32_t)bytes[entry->data_bytes - 2U] << 16) |
                                      ((uint32_t)bytes[entry->data_bytes - 1U] << 24))));
        if (status != APR_LOAD_OK) {
            printf("\\n");
            continue;
        }
        for (uint32_t row = 0U; row < 20U; ++row) {
            for (uint32_t f = 0U; f < entry->n_features; ++f) {
                x[f] = ((float)((row * 37U) + (f * 11U) % 23U) / 7.0F) - 9.0F;
            }
            const apr_status own = fleet_predict(id, x, entry->n_features, wanted, entry->n_outputs);
            const apr_status viewed =
                apr_view_predict(&view, x, entry->n_features, found, entry->n_outputs, workspace, 4096U);
            different += ((own == viewed) && (own == APR_OK)) ? 0U : 1U;
            for (uint32_t o = 0U; o < entry->n_outputs; ++o) {
                different += (apr_bits(wanted[o]) == apr_bits(found[o])) ? 0U : 1U;
            }
        }
        printf(", in place %d, differences %u\\n", (int)(file.payload == (const uint8_t *)view.payload),
               (unsigned)different);
    }
    return 0;
}
"""


def test_embedded_files_load(tmp_path: Path) -> None:
    """Native files, signed ones too, are used in place, packed ones through a buffer: to the bits of the bundle's C.

    What a stranger signed is refused, and the original library's payload is no native one.
    """
    key = new_key(STANDARD, "sign")
    signed = sign_v1(native_file("linreg"), key)
    wishes = [
        replace(wish("rfc:both"), data=native_file("rfc", keep_record=False)),
        replace(wish("linreg:both"), data=signed),
        replace(wish("kmeans:both"), data=in_file(native_payload("kmeans"), method=3)),
        replace(wish("logreg_bc:both"), data=sign_v1(native_file("logreg_bc"), new_key(STANDARD, "sign"))),
        wish("gaussian_nb:both"),
    ]
    plan = plan_loader(load_target("host"), ("ed25519", "lz4"), ("text", "powers"))
    write_loader(plan, tmp_path)
    write_texts(compile_bundle(wishes, load_target("host"), BundleOptions("fleet")).texts, tmp_path)
    listed = ", ".join(map(str, signed[-36:-4]))
    (tmp_path / "main.c").write_text(MAIN.replace("@KEY@", f"{{{listed}}}"))
    for number, unit in enumerate(plan.units):
        flags = ("-std=c99", *unit.flags, "-O0", "-ffp-contract=off", *(f"-I{name}" for name in unit.include))
        compile_c("gcc", (*flags, "-c", unit.path, "-o", f"{number}.o"), tmp_path)
    objects = [f"{number}.o" for number in range(len(plan.units))]
    flags = ("-std=c99", "-O0", "-ffp-contract=off", *WARNINGS, *plan.defines)
    compile_c("gcc", (*flags, "main.c", "fleet.c", *objects, "-o", "main"), tmp_path)
    status, out = run(tmp_path / "main")

    assert status == 0
    assert out.splitlines() == [
        "rfc: 0, sizes 1, crc 1, in place 1, differences 0",
        "linreg: 0, sizes 1, crc 1, in place 1, differences 0",
        "kmeans: 0, sizes 1, crc 1, in place 0, differences 0",
        "logreg_bc: 10, sizes 1, crc 1",
        "gaussian_nb: 12, sizes 1, crc 1",
    ]

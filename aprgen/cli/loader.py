"""`aprgen loader`: writes the sources of the device's loader into a folder."""

from __future__ import annotations

import json

from aprgen.cli.device import Loader
from aprgen.cli.printable import count_of, visible
from aprgen.cli.report import print_json
from aprgen.device_loader import FLAGS_FILE, THIRD_PARTY, loader_texts, plan_loader
from aprgen.output_folder import write_folder
from aprgen.target import load_target


def loader_command(request: Loader) -> int:
    """All is fetched and checked before the first file is written."""
    plan = plan_loader(load_target(request.target), request.parts, request.without, request.crc_table)
    texts, others = loader_texts(plan, request.archives)
    if others:
        write_folder(request.out / THIRD_PARTY, others)
    write_folder(request.out, texts)
    if request.format == "json":
        print_json({"path": str(request.out), **json.loads(texts["loader.json"])})
        return 0
    print(f"{visible(str(request.out))}: the loader for {plan.target.name}, {count_of(len(plan.units), 'C file')}")
    for part in plan.parts:
        print(f"  {part.name:<10}{part.summary}; {part.package} {part.version}, {part.licence}")
    if plan.without:
        print(f"  {'without':<10}{', '.join(plan.without)}")
    print(f"  {'flags':<10}@{FLAGS_FILE} for your own C that includes its headers; loader.json has those of each file")
    return 0

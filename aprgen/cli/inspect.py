"""`aprgen inspect`: what a file holds, in boxes for people or as one JSON object."""

from __future__ import annotations

from aprgen.cli.access import access_for, loading_for
from aprgen.cli.apbundle import inspect_packed, is_packed
from aprgen.cli.examination import examine
from aprgen.cli.inspect_facts import facts, first_damage
from aprgen.cli.report import of_file, print_json
from aprgen.cli.requests import Inspect


def inspect_command(request: Inspect) -> int:
    """Shows what can be shown. A damaged file is raised afterwards; an encrypted or unfitted one is no failure."""
    if is_packed(request.model):
        return inspect_packed(request)
    seen = examine(request.model, request.struct, access_for(request.opening), loading_for(request.opening))
    if request.format == "json":
        print_json(facts(seen))
    else:
        from aprgen.cli.inspect_boxes import print_boxes

        print_boxes(seen)
    damage = first_damage(seen)
    if damage is not None:
        raise of_file(damage, request.model)
    return 0

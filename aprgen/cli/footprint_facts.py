"""What a built model takes, as JSON and as labelled lines. Knows Footprint; prints nothing."""

from __future__ import annotations

from aprgen.cli.printable import count_of
from aprgen.footprint import Footprint


def footprint_facts(size: Footprint, compiler: str) -> dict[str, object]:
    """Stack is per function, as the compiler states it for the function's own frame; null when it states none."""
    return {
        "compiler": compiler,
        "flash_bytes": size.flash_bytes,
        "codes_flash_bytes": size.codes_flash_bytes,
        "sections": {
            "text": size.text_bytes,
            "rodata": size.rodata_bytes,
            "data": size.data_bytes,
            "bss": size.bss_bytes,
        },
        "ram_bytes": size.ram_bytes,
        "library_bytes": size.library_bytes,
        "functions": [
            {"name": one.name, "code_bytes": one.code_bytes, "stack_bytes": one.stack_bytes} for one in size.functions
        ],
        "library": [{"name": one.name, "code_bytes": one.code_bytes} for one in size.library],
    }


def footprint_lines(size: Footprint, compiler: str) -> list[tuple[str, str]]:
    library = f", of which {size.library_bytes} from the compiler's library" if size.library_bytes else ""
    sections = f"code {size.text_bytes}, constants {size.rodata_bytes}, initial data {size.data_bytes}"
    frames = [one.stack_bytes for one in size.functions if one.stack_bytes is not None]
    stack = f"largest frame {count_of(max(frames), 'byte')}" if frames else "not stated by this compiler"
    of_codes = size.codes_flash_bytes
    return [
        ("flash", f"{count_of(size.flash_bytes, 'byte')} ({sections}{library})"),
        *([] if of_codes is None else [("of codes", f"{count_of(of_codes, 'byte')} of flash, used alone")]),
        ("RAM", f"{count_of(size.ram_bytes, 'byte')} of variables"),
        ("stack", stack),
        ("compiler", compiler),
    ]

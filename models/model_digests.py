"""Sums of the files of a saved model: its name is made of them, and reading it begins with checking them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from feeds.errors import InputError

SUMS = "SHA256SUMS"
_NOT_PART_OF_THE_NAME = ("metrics.json", "MODEL_CARD.md")


def file_sums(folder: Path) -> dict[str, str]:
    """Return path → sha256 of every file but the list itself, sorted."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def model_id(sums: dict[str, str]) -> str:
    """Return twelve digits that the settings, the windows, the preprocessing and the weights decide."""
    told = "\n".join(f"{digest}  {name}" for name, digest in sums.items() if name not in _NOT_PART_OF_THE_NAME)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def write_sums(folder: Path) -> None:
    """Write the list as ``sha256sum --check`` reads it."""
    text = "".join(f"{digest}  {name}\n" for name, digest in file_sums(folder).items())
    (folder / SUMS).write_text(text, encoding="utf-8")


def check_sums(folder: Path) -> None:
    """Refuse a folder whose files are not those that were written.

    Raises
    ------
    InputError
        Naming the first file that is changed, missing or new.
    """
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = file_sums(folder)
    for name in sorted({*listed, *found}):
        if name not in found:
            what = "is missing"
        elif name not in listed:
            what = f"is not in {SUMS}"
        elif found[name] != listed[name]:
            what = "was changed after it was written"
        else:
            continue
        raise InputError(
            f"model {folder}: expected the files that {SUMS} lists, received others: {name} {what}; "
            "copy the folder again, or train again"
        )

"""A folder with one price file per ticker, whatever the files' format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from feeds.errors import EnvironmentFailure, InputError
from feeds.price_table import Finding, Reading, SourceBars, UnreadableTableError


class TickerFiles:
    """The files of a folder by ticker; a format says how one is read.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    kind : str
        The word before the colon of ``--prices``.
    suffixes : tuple of str
        Of the files, in small letters; others are left alone.

    Raises
    ------
    InputError
        If the folder is missing, is a file, holds no price file, or holds two for one ticker, such
        as AMD.csv and amd.csv.gz: which vintage would be meant is not ours to guess.
    EnvironmentFailure
        If the disk does not let the folder be read.
    """

    kind: str
    suffixes: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            received = "a file; name its folder" if folder.exists() else "a path that does not exist"
            one = f"TICKER{self.suffixes[0]}"
            raise InputError(f"`{self}`: expected a folder with one {one} per ticker, received {received}")
        self._files = self._by_ticker()
        if not self._files:
            names = " or ".join(f"TICKER{suffix}" for suffix in self.suffixes)
            raise InputError(f"`{self}`: expected files {names}, received none in it")

    def __str__(self) -> str:
        return f"{self.kind}:{self.folder}"

    @property
    def tickers(self) -> tuple[str, ...]:
        """Return the files' names without suffix, in capitals, sorted."""
        return tuple(sorted(self._files))

    def read(self, ticker: str) -> Reading:
        """Return one file's bars; what is wrong with the file is a finding, and so is a disk that does not read it."""
        try:
            return self.read_file(ticker, self._files[ticker])
        except UnreadableTableError as error:
            return Reading(SourceBars.none(), (Finding(ticker, None, error.kind, str(error)),))

    def read_file(self, ticker: str, path: Path) -> Reading:
        """Read one file; raises UnreadableTableError where it holds no table of prices."""
        raise NotImplementedError(f"{type(self).__name__}.read_file")

    def _by_ticker(self) -> Mapping[str, Path]:
        files: dict[str, Path] = {}
        for path in self._paths():
            ticker = self._ticker(path)
            if ticker in files:
                raise InputError(
                    f"`{self}`: expected one file per ticker, received {files[ticker].name} and {path.name}; "
                    "remove one of them"
                )
            if ticker:
                files[ticker] = path
        return files

    def _paths(self) -> list[Path]:
        try:
            return sorted(self.folder.iterdir())
        except OSError as error:
            raise EnvironmentFailure(f"`{self}`: cannot be read, {error.strerror}") from None

    def _ticker(self, path: Path) -> str:
        """Return the ticker that a file is named after, empty for what is no price file."""
        if path.name.startswith("."):
            return ""
        stems = [path.name[: -len(suffix)] for suffix in self.suffixes if path.name.lower().endswith(suffix)]
        return stems[0].upper() if stems else ""

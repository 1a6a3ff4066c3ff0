"""Reading a tree of 20,000 filings: CPU per filing, memory, and what a second run costs.

``python -m benchmarks.filings [NUMBER]`` repeats the embedded market's documents under new accession
numbers in a temporary folder and parses them as the command ``filings`` does, with two processes.
The reference in the same run reads the same files and makes a bare lxml tree of each, one process:
the ratio says what finding the header, checking, interpreting and storing the rows add.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.demo import Cost, measure
from feeds.synthetic import MarketSettings
from feeds.synthetic_filings import write_filings

NUMBER = 20_000
JOBS = 2
_READ = """
import sys
from pathlib import Path
from feeds.transactions import read_filings
table = read_filings(Path(sys.argv[1]), jobs=int(sys.argv[3]), store=Path(sys.argv[2]))
assert table.n_filings == int(sys.argv[4]), table.n_filings
"""


def make_tree(root: Path, number: int) -> None:
    """Write `number` filings: the embedded market's, repeated under new accession numbers."""
    write_filings(MarketSettings(), root / "market")
    documents = sorted((root / "market").rglob("full-submission.txt"))
    for at in range(number):
        source = documents[at % len(documents)]
        old, company = source.parent.name, source.parts[-4]
        new = f"{at // 1_000_000 + 1:010d}-{at // 100_000 % 100:02d}-{at % 1_000_000:06d}"
        folder = root / "tree" / "sec-edgar-filings" / company / "4" / new
        folder.mkdir(parents=True)
        (folder / source.name).write_bytes(source.read_bytes().replace(old.encode(), new.encode()))


def bare_parse(tree: Path) -> tuple[int, float, float]:
    """Read every file and make a bare lxml tree of its XML; return their number, CPU seconds and mean kB."""
    from lxml import etree

    started, size, number = time.process_time(), 0, 0
    for path in tree.rglob("full-submission.txt"):
        content = path.read_bytes()
        etree.fromstring(content[content.index(b"<XML>") + 5 : content.index(b"</XML>")].strip())
        number, size = number + 1, size + len(content)
    return number, time.process_time() - started, size / number / 1000


def main(number: int = NUMBER) -> None:
    """Print the fresh reading, the second one, the imports and the reference."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_tree(root, number)
        words = [sys.executable, "-c", _READ, f"{root}/tree", f"{root}/store", str(JOBS), str(number)]
        rows: list[tuple[str, Cost]] = [("first reading", measure(words)), ("second reading", measure(words))]
        rows.append(("import feeds.transactions", measure([sys.executable, "-c", "import feeds.transactions"])))
        held, bare, size = bare_parse(root / "tree")
    print(f"{held} filings of {size:.1f} kB, {JOBS} processes\n")
    print(f"{'':<28}{'wall s':>8}{'CPU s':>8}{'ms each':>9}{'MB':>7}")
    for name, cost in rows:
        print(f"{name:<28}{cost.wall_s:>8.1f}{cost.cpu_s:>8.1f}{cost.cpu_s / held * 1000:>9.2f}{cost.peak_mb:>7.0f}")
    print(f"{'bare read and lxml tree':<28}{'':>8}{bare:>8.1f}{bare / held * 1000:>9.2f}")
    print(f"{'first reading / bare':<28}{'':>8}{rows[0][1].cpu_s / bare:>8.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER)

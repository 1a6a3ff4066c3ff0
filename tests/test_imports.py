"""The direction of imports between the folders, and what must not be imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("feeds", "models", "indicators", "strategies", "analyzers", "engine")
ADAPTER = {"feeds.adapter.lines", "feeds.adapter.naming"}  # of backtrader, for what is made from its classes
ALLOWED = {
    "feeds": {"feeds"},
    "models": {"models", "feeds.panel", "feeds.errors", "feeds.progress", "feeds.sessions"},
    "indicators": {"indicators", "models.predictions", "feeds.errors", "feeds.panel", *ADAPTER},
    "strategies": {"strategies", "indicators", "models.predictions", "feeds.errors", *ADAPTER},
    "analyzers": {"analyzers", "feeds.errors", "feeds.panel"},
    "engine": set(FOLDERS),
}
HEAVY_ONLY_INSIDE_FUNCTIONS = {"tensorflow", "keras", "quantstats", "yfinance", "sec_edgar_downloader"}
BACKTRADER_FREE = {"models"}


def _files() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def _folder(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def _imports(nodes: list[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Import):
                names.update(alias.name for alias in part.names)
            elif isinstance(part, ast.ImportFrom) and part.module:
                names.add(part.module)
    return names


def _top_level(tree: ast.Module) -> list[ast.stmt]:
    return [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("path", _files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_of_our_folders_follow_the_allowed_direction(path: Path):
    allowed = ALLOWED[_folder(path)]
    ours = {name for name in _imports(ast.parse(path.read_text()).body) if name.split(".")[0] in FOLDERS}
    assert {name for name in ours if name not in allowed and name.split(".")[0] not in allowed} == set()


@pytest.mark.parametrize("path", _files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_heavy_packages_are_imported_inside_functions_only(path: Path):
    names = {name.split(".")[0] for name in _imports(_top_level(ast.parse(path.read_text())))}
    assert names & HEAVY_ONLY_INSIDE_FUNCTIONS == set()
    if _folder(path) in BACKTRADER_FREE:
        assert "backtrader" not in names


def test_help_loads_no_heavy_package():
    code = (
        "import sys; from engine.commands import main\n"
        "try: main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'quantstats', 'pandas', 'backtrader', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(','.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

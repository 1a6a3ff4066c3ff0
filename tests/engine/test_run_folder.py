from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from engine.run_folder import check_free, check_free_file, default_folder, run_folder, write_text
from feeds.errors import EnvironmentFailure, InputError


def test_run_folder_complete_takes_the_name_and_leaves_nothing_else(tmp_path: Path):
    with run_folder(tmp_path / "a" / "run", force=False) as partial:
        (partial / "x").write_text("1")
        assert not (tmp_path / "a" / "run").exists()
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["run"]
    assert (tmp_path / "a" / "run" / "x").read_text() == "1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_run_folder_error_inside_leaves_nothing(tmp_path: Path, error: type[BaseException]):
    def fail() -> None:
        with run_folder(tmp_path / "new" / "run", force=False) as partial:
            (partial / "x").write_text("1")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_run_folder_force_replaces_results_and_keeps_strangers(tmp_path: Path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "x").write_text("old")
    (out / "mine.txt").write_text("kept")
    with run_folder(out, force=True) as partial:
        (partial / "x").write_text("new")
    assert {p.name: p.read_text() for p in out.iterdir()} == {"x": "new", "mine.txt": "kept"}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_check_free_refuses_full_folder_and_file(tmp_path: Path):
    (tmp_path / "x").write_text("1")
    with pytest.raises(InputError, match="`--out`: expected a new or empty folder.*`--force`"):
        check_free(tmp_path, force=False)
    with pytest.raises(InputError, match="`--out`: expected a folder, received the file"):
        check_free(tmp_path / "x", force=True)
    with pytest.raises(InputError, match="`--out`: expected a new file"):
        check_free_file(tmp_path / "x", force=False)
    check_free(tmp_path / "new", force=False)
    check_free_file(tmp_path / "x", force=True)


def test_run_folder_where_nothing_can_be_made_is_an_environment_failure(tmp_path: Path):
    (tmp_path / "file").write_text("1")
    with (
        pytest.raises(EnvironmentFailure, match="cannot write beside"),
        run_folder(tmp_path / "file" / "run", force=False),
    ):
        pass


def test_write_text_into_missing_folder_fails_clearly_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(EnvironmentFailure, match="cannot write"):
        write_text(tmp_path / "none" / "x", "1")
    write_text(tmp_path / "x", "1")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_default_folder_names_time_and_strategy():
    assert default_folder("a/b c.py:My Class", datetime(2020, 1, 2, 3, 4, 5)) == Path("runs/20200102-030405-My-Class")

from __future__ import annotations

import errno
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


@pytest.mark.parametrize("out", ["", ".", "..", "/", "new/.."])
@pytest.mark.parametrize("force", [False, True])
def test_check_free_current_folder_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, force: bool
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match=r"`--out`: expected a folder of its own, received .* `--out runs/first`"):
        check_free(Path(out), force=force)


def test_run_folder_name_that_ends_in_dots_means_the_folder_itself(tmp_path: Path):
    (tmp_path / "run").mkdir()
    with run_folder(tmp_path / "run" / "x" / "..", force=False) as partial:
        (partial / "y").write_text("1")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["y"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_run_folder_disk_that_refuses_inside_is_an_environment_failure(tmp_path: Path, number: int):
    with (
        pytest.raises(EnvironmentFailure, match="cannot write /x/y: no; nothing was kept, make room or choose another"),
        run_folder(tmp_path / "run", force=False),
    ):
        raise OSError(number, "no", "/x/y")
    assert list(tmp_path.iterdir()) == []


def test_run_folder_other_error_of_the_system_inside_stays_a_bug(tmp_path: Path):
    with pytest.raises(FileNotFoundError), run_folder(tmp_path / "run", force=False) as partial:
        (partial / "missing").read_text()


def test_run_folder_force_with_a_new_manifest_removes_results_of_an_older_command(tmp_path: Path):
    out = tmp_path / "run"
    (out / "models" / "0123456789ab").mkdir(parents=True)
    (out / "models" / "0123456789ab" / "spec.json").write_text("{}")
    for name in ("evaluation.json", "manifest.json", "mine.txt"):
        (out / name).write_text("old")
    with run_folder(out, force=True) as partial:
        (partial / "manifest.json").write_text("new")
    assert {p.name: p.read_text() for p in out.iterdir()} == {"manifest.json": "new", "mine.txt": "old"}


def test_run_folder_force_keeps_a_folder_models_that_is_not_ours_and_a_run_beside_findings(tmp_path: Path):
    out = tmp_path / "run"
    (out / "models").mkdir(parents=True)
    (out / "report.html").write_text("of a run")
    with run_folder(out, force=True) as partial:
        (partial / "findings.csv").write_text("")
    assert {p.name for p in out.iterdir()} == {"models", "report.html", "findings.csv"}
    with run_folder(out, force=True) as partial:
        (partial / "manifest.json").write_text("{}")
    assert {p.name for p in out.iterdir()} == {"models", "manifest.json"}

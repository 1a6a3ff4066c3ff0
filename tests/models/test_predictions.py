from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from feeds.errors import InputError
from feeds.panel import Bars
from models.labels import ClassLimits
from models.prediction_origin import Origin
from models.predictions import PREDICTION_COLUMNS, SavedPredictions, sorted_frame


@pytest.fixture
def frame() -> pd.DataFrame:
    rows = [
        ("2020-01-03", "B", 1, 0.1, 0.2, 0.3, 0.4, 0.01),
        ("2020-01-02", "B", 1, 0.25, 0.25, 0.25, 0.25, 0.0),
        ("2020-01-03", "A", 2, 0.4, 0.3, 0.2, 0.1, -0.02),
    ]
    made = pd.DataFrame(rows, columns=["session", "ticker", "fold", *PREDICTION_COLUMNS])
    return sorted_frame(made.assign(session=pd.to_datetime(made["session"])))


def bars_on(*days: str) -> Bars:
    ones = np.ones(len(days))
    return Bars(np.array(days, "datetime64[D]"), ones, ones, ones, ones, ones, ones)


def test_column_finds_each_session(frame):
    column = SavedPredictions(frame).column("B", bars_on("2020-01-02", "2020-01-03", "2020-01-06"))
    np.testing.assert_allclose(column[:, 4], [0.0, 0.01, np.nan])
    assert np.isnan(SavedPredictions(frame).column("A", bars_on("2020-01-02"))).all()
    assert np.isnan(SavedPredictions(frame).column("NONE", bars_on("2020-01-02"))).all()


def test_step_equals_the_column(frame):
    saved = SavedPredictions(frame)
    np.testing.assert_array_equal(
        saved.stepper("A").step(bars_on("2020-01-02", "2020-01-03")), [0.4, 0.3, 0.2, 0.1, -0.02]
    )


def test_matrix_has_the_panels_shape(frame):
    sessions = pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-06"])
    score = SavedPredictions(frame).matrix("score", sessions, ("A", "B", "C"))
    np.testing.assert_allclose(score, [[np.nan, 0.0, np.nan], [-0.02, 0.01, np.nan], [np.nan] * 3])
    with pytest.raises(InputError, match="unknown prediction column 'scores'.*Did you mean 'score'"):
        SavedPredictions(frame).matrix("scores", sessions, ("A",))


def test_write_and_read_round_trip_with_the_same_bytes(frame, tmp_path):
    SavedPredictions(frame).write(tmp_path / "one.parquet")
    again = SavedPredictions.read(tmp_path / "one.parquet")
    again.write(tmp_path / "two.parquet")
    pd.testing.assert_frame_equal(again.frame, frame, check_dtype=False)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.parquet", "two.parquet"]


def test_write_and_read_keep_the_origin_and_its_bytes(frame, tmp_path):
    limits = ClassLimits(-0.5, 0.6, (-1.0, -0.2, 0.3, 1.1), (0.2, 0.3, 0.3, 0.2))
    origin = Origin("tiny", 21, {"B": {"2020": "b"}, "A": {"2020": "a"}}, "scaled", {2: limits, 10: limits})
    SavedPredictions(frame, origin).write(tmp_path / "one.parquet")
    again = SavedPredictions.read(tmp_path / "one.parquet")
    assert again.origin == origin
    again.write(tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert pq.read_schema(tmp_path / "one.parquet").names == ["session", "ticker", "fold", *PREDICTION_COLUMNS]


def test_read_without_an_origin_has_none_and_a_damaged_one_is_refused(frame, tmp_path):
    SavedPredictions(frame).write(tmp_path / "old.parquet")
    assert SavedPredictions.read(tmp_path / "old.parquet").origin is None
    stored = pq.read_table(tmp_path / "old.parquet").replace_schema_metadata({"insider_swing": "[]"})
    pq.write_table(stored, tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="expected a description of model and prices .*received a damaged one"):
        SavedPredictions.read(tmp_path / "bad.parquet")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "dated",
    [
        lambda days: days + pd.Timedelta(hours=16),
        lambda days: days.dt.tz_localize("UTC"),
        lambda days: (days + pd.Timedelta(hours=16)).dt.tz_localize("America/New_York"),
        lambda days: days.dt.date,
    ],
    ids=["16:00", "UTC", "New York", "date"],
)
def test_read_session_with_a_time_of_day_or_a_zone_is_its_day(frame, tmp_path, dated):
    frame.assign(session=dated(frame["session"]), ticker=frame["ticker"].astype("category")).to_parquet(
        tmp_path / "other.parquet"
    )
    read = SavedPredictions.read(tmp_path / "other.parquet")
    pd.testing.assert_frame_equal(read.frame, frame, check_dtype=False)
    assert read.column("B", bars_on("2020-01-03"))[0, 4] == 0.01


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.drop(columns="score"), "expected the columns session, .*; received none named `score`"),
        (lambda f: f.iloc[:0], "expected at least one row, received none"),
        (lambda f: f.assign(score="high"), "expected dates in `session`, numbers in .*received .*score"),
        (lambda f: f.assign(session="monday"), "expected dates in `session`"),
        (lambda f: f.assign(score=[0.1, np.nan, 0.1]), r"row 1 \(A\): expected a value in every column, received none"),
        (lambda f: f.assign(score=[0.1, np.inf, 0.1]), "row 1 .*expected finite numbers, received infinite ones"),
        (lambda f: f.assign(greater_loss=0.9), "row 0 .*expected four probabilities that sum to 1, received others"),
        (
            lambda f: pd.concat([f, f.iloc[:1]]),
            "row 3 .*expected one row per session and ticker, received a second one",
        ),
    ],
)
def test_read_damaged_files_say_what_is_wrong(frame, tmp_path, damage, message):
    path = tmp_path / "damaged.parquet"
    damage(frame).to_parquet(path)
    with pytest.raises(InputError, match=message):
        SavedPredictions.read(path)


def test_read_no_file_or_another_file_says_so(tmp_path):
    with pytest.raises(InputError, match="expected a file, received none; `train --out DIR` writes one"):
        SavedPredictions.read(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("session,ticker\n")
    with pytest.raises(InputError, match="expected a Parquet file, received another"):
        SavedPredictions.read(tmp_path / "text.parquet")

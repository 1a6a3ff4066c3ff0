"""From a source to the panel: what is traded, on which sessions, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds.errors import InputError
from feeds.panel import BAR_FIELDS
from feeds.prices import check_prices, load_checked, load_prices, open_source
from feeds.sessions import trading_sessions

HEADER = "Date,Open,High,Low,Close,Volume"
# Thursday, Friday, (weekend), Monday, Tuesday
DAYS = ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"]


def long_table(tickers, sessions, seed=0, adjusted=True, traded=None):
    """A right long table of random bars; `traded` [T, N] leaves rows out."""
    rng = np.random.default_rng(seed)
    shape = (len(sessions), len(tickers))
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.005, shape))
    columns = {
        "open": open_,
        "high": np.maximum(open_, close) * 1.01,
        "low": np.minimum(open_, close) * 0.99,
        "close": close,
        "volume": np.round(rng.uniform(1e3, 1e6, shape)),
    }
    if adjusted:
        # A dividend of 0.5 % on about one session in ten; the factor is 1 at the end, as Yahoo has it.
        paid = rng.random(shape) < 0.1
        columns["adj_close"] = close * 0.995 ** (paid.sum(axis=0) - np.cumsum(paid, axis=0))
    row, column = np.nonzero(np.ones(shape, dtype=bool) if traded is None else traded)
    frame = {name: values[row, column] for name, values in columns.items()}
    return pd.DataFrame({"date": sessions[row], "ticker": np.asarray(tickers)[column], **frame})


def write_csv(folder, table):
    folder.mkdir(parents=True, exist_ok=True)
    for ticker, rows in table.groupby("ticker"):
        rows.drop(columns="ticker").to_csv(folder / f"{ticker}.csv", index=False)
    return f"csv:{folder}"


def write_parquet(path, table):
    table.to_parquet(path, index=False)
    return f"parquet:{path}"


def folder_of(tmp_path, **files):
    """Write a file per ticker from its lines under a common header; the lines may bring their own."""
    for ticker, lines in files.items():
        own_header = lines[0].lower().startswith("date")
        (tmp_path / f"{ticker}.csv").write_text("\n".join(lines if own_header else [HEADER, *lines]) + "\n")
    return f"csv:{tmp_path}"


# ---- what is traded


def test_load_prices_with_adjusted_close_trades_the_total_return_series(tmp_path):
    # A dividend of 2 goes ex on the 6th at a previous close of 20: Yahoo scales what was before by 1 - 2/20 = 0.9.
    spec = folder_of(
        tmp_path,
        ABC=[
            "Date,Open,High,Low,Close,Adj Close,Volume",
            "2020-01-02,10,11,9,10,9,900",
            "2020-01-03,20,22,18,20,18,900",
            "2020-01-06,18,19.8,16.2,18,18,900",
        ],
    )
    panel = load_prices(spec)
    np.testing.assert_allclose(panel.adjust[:, 0], [1, 1, 1 / 0.9], rtol=1e-15)
    np.testing.assert_allclose(panel.open[:, 0], [10, 20, 20], rtol=1e-15)
    np.testing.assert_allclose(panel.high[:, 0], [11, 22, 22], rtol=1e-15)
    np.testing.assert_allclose(panel.low[:, 0], [9, 18, 18], rtol=1e-15)
    np.testing.assert_allclose(panel.close[:, 0], [10, 20, 20], rtol=1e-15)
    np.testing.assert_allclose(panel.volume[:, 0], [900, 900, 810], rtol=1e-15)
    np.testing.assert_allclose(panel.source_price("close")[:, 0], [10, 20, 18], rtol=1e-15)
    assert panel.price_basis == "split_adjusted"


def test_load_prices_without_adjusted_close_trades_the_source_prices(tmp_path):
    panel = load_prices(folder_of(tmp_path, ABC=["2020-01-02,10,11,9,10,900", "2020-01-03,20,22,18,20,0"]))
    assert panel.close[:, 0].tolist() == [10, 20]
    assert panel.volume[:, 0].tolist() == [900, 0]
    assert panel.adjust[:, 0].tolist() == [1, 1]
    assert panel.price_basis == "fully_adjusted"


def test_load_prices_total_return_equals_that_of_the_adjusted_close(tmp_path):
    table = long_table(["AAA"], trading_sessions("2019-01-02", "2019-06-28"))
    panel = load_prices(write_parquet(tmp_path / "p.parquet", table))
    adjusted = table["adj_close"].to_numpy()
    np.testing.assert_allclose(panel.close[1:, 0] / panel.close[:-1, 0], adjusted[1:] / adjusted[:-1], rtol=1e-13)


@pytest.mark.parametrize("scale", [0.995, 0.97, 0.88])
def test_load_prices_later_dividend_changes_no_earlier_value(tmp_path, scale):
    sessions = trading_sessions("2019-01-02", "2019-06-28")
    before = long_table(["AAA", "BBB"], sessions)
    after = before.copy()
    earlier = (after["date"] < sessions[100]) & (after["ticker"] == "AAA")
    after.loc[earlier, "adj_close"] *= scale  # what the provider does once it learns of it
    one = load_prices(write_parquet(tmp_path / "before.parquet", before))
    two = load_prices(write_parquet(tmp_path / "after.parquet", after))
    for name in BAR_FIELDS:
        np.testing.assert_allclose(getattr(two, name)[:100], getattr(one, name)[:100], rtol=1e-14)
    assert (two.close[100:, 0] > one.close[100:, 0] * 1.004).all()


def test_load_prices_cut_equals_a_source_that_ends_there(tmp_path):
    sessions = trading_sessions("2019-01-02", "2019-06-28")
    table = long_table(["AAA", "BBB"], sessions)
    whole = load_prices(write_parquet(tmp_path / "whole.parquet", table))
    cut = load_prices(f"parquet:{tmp_path / 'whole.parquet'}", last=sessions[59])
    short = load_prices(write_parquet(tmp_path / "short.parquet", table[table["date"] <= sessions[59]]))
    assert cut.digest() == short.digest() == whole.until(sessions[59]).digest()


# ---- on which sessions


def test_load_prices_sessions_are_the_exchanges_without_a_gap(tmp_path):
    spec = folder_of(tmp_path, ABC=["2019-12-31,1,1,1,1,1", "2020-01-06,1,1,1,1,1"])
    panel = load_prices(spec)
    assert [str(day.date()) for day in panel.sessions] == ["2019-12-31", "2020-01-02", "2020-01-03", "2020-01-06"]
    assert panel.traded[:, 0].tolist() == [True, False, False, True]


def test_load_prices_late_listing_and_delisting_keep_their_sessions(tmp_path):
    old = [f"{day},1,1,1,{1},1" for day in DAYS[:2]]
    young = [f"{day},2,2,2,{2},2" for day in DAYS[2:]]
    panel = load_prices(folder_of(tmp_path, YOUNG=young, OLD=old))
    assert panel.tickers == ("OLD", "YOUNG")
    assert panel.traded.tolist() == [[True, False], [True, False], [False, True], [False, True]]


def test_load_prices_selected_tickers_alone_decide_the_sessions(tmp_path):
    spec = folder_of(tmp_path, AAA=["2019-01-02,1,1,1,1,1"], BBB=["2020-01-02,1,1,1,1,1"])
    assert len(load_prices(spec, tickers=["bbb"]).sessions) == 1


def test_load_prices_row_without_any_price_is_no_bar(tmp_path):
    lines = [f"{DAYS[0]},1,1,1,1,1", f"{DAYS[1]},null,null,null,null,null", f"{DAYS[2]},1,1,1,1,1"]
    panel = load_prices(folder_of(tmp_path, ABC=lines))
    assert panel.traded[:, 0].tolist() == [True, False, True]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), adjusted=st.booleans())
def test_load_prices_round_trip_moves_no_value_in_time(tmp_path_factory, data, adjusted):
    sessions = trading_sessions("2019-12-20", "2020-01-31")
    count = data.draw(st.integers(1, 4))
    one_session = st.lists(st.booleans(), min_size=count, max_size=count)
    traded = np.array(data.draw(st.lists(one_session, min_size=1, max_size=len(sessions))))
    traded[0] |= ~traded.any(axis=0)  # a ticker without any bar is in no source
    tickers = [f"T{k}" for k in range(count)]
    seed = data.draw(st.integers(0, 9))
    table = long_table(tickers, sessions[: len(traded)], seed=seed, adjusted=adjusted, traded=traded)
    shuffled = table.sort_values("ticker", kind="stable") if data.draw(st.booleans()) else table
    folder = tmp_path_factory.mktemp("round")
    panel = load_prices(write_parquet(folder / "p.parquet", shuffled))

    assert load_prices(write_csv(folder / "csv", table)).digest() == panel.digest()
    rows = panel.sessions.get_indexer(pd.DatetimeIndex(table["date"]))
    columns = [panel.tickers.index(ticker) for ticker in table["ticker"]]
    assert panel.traded.sum() == len(table)
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(panel.source_price(name)[rows, columns], table[name], rtol=1e-14)
    np.testing.assert_allclose((panel.volume * panel.adjust)[rows, columns], table["volume"], rtol=1e-14)
    for name in BAR_FIELDS:
        assert (np.isfinite(getattr(panel, name)) == panel.traded).all()
    assert (panel.adjust[panel.first_rows, range(count)] == 1).all()


def test_load_prices_tells_progress_of_each_ticker(tmp_path):
    seen = []

    def progress(iterable, label, total):
        for item in iterable:
            seen.append((item, label, total))
            yield item

    load_prices(folder_of(tmp_path, BBB=[f"{DAYS[0]},1,1,1,1,1"], AAA=[f"{DAYS[0]},1,1,1,1,1"]), progress=progress)
    assert seen == [("AAA", "loading prices", 2), ("BBB", "loading prices", 2)]


# ---- what is refused


def bad_files(tmp_path):
    """One sound ticker, one with two bad rows, one malformed, one unsorted, one empty."""
    (tmp_path / "EEE.csv").write_bytes(b"")
    return folder_of(
        tmp_path,
        AAA=[f"{DAYS[0]},1,1,1,1,1"],
        BBB=[f"{DAYS[0]},1,1,1,1,1", f"{DAYS[1]},0,0,0,0,0", f"{DAYS[2]},1,1,1,1,-5"],
        CCC=["no prices here", "1"],
        DDD=[f"{DAYS[1]},1,1,1,1,1", f"{DAYS[0]},2,2,2,2,1"],
    )


def test_load_prices_several_bad_files_without_repair_give_one_line_that_names_each(tmp_path):
    spec = bad_files(tmp_path)
    with pytest.raises(InputError) as caught:
        load_prices(spec, repair="none")
    assert str(caught.value) == (
        f"`{spec}`: expected sound bars, received defects in 3 of 5 tickers: "
        "BBB 2020-01-03: all four prices are 0 (and 1 more defect); "
        "CCC: line 2 has another length than the header, 1 not 6 (and 1 more defect); "
        "EEE: EEE.csv is empty; "
        "repair the data, let `--repair safe` do what can be done, or leave these tickers out with --tickers AAA,DDD"
    )
    assert load_prices(spec, tickers=["AAA"], repair="none").tickers == ("AAA",)


def test_load_checked_bad_files_are_named_and_the_rest_loads(tmp_path):
    checked = load_checked(bad_files(tmp_path))
    assert checked.panel.tickers == ("AAA", "BBB", "DDD")
    assert checked.refused == ("CCC", "EEE")
    assert (checked.tickers, checked.bars) == (5, 6)
    assert [(f.ticker, f.kind, f.action) for f in checked.findings if f.severity == "error"] == [
        ("BBB", "all-zero bar", "row removed"),
        ("BBB", "negative volume", "row removed"),
        ("CCC", "malformed row", "refused"),
        ("CCC", "malformed row", "refused"),
        ("EEE", "empty file", "refused"),
    ]
    assert checked.panel.close[:, 2].tolist() == [2, 1]


def test_load_prices_no_sound_ticker_is_an_error_under_either_repair(tmp_path):
    spec = folder_of(tmp_path, ABC=["2020-01-04,1,1,1,1,1"])
    with pytest.raises(InputError, match=r"in 1 of 1 ticker: ABC 2020-01-04: .* no session of XNYS; repair the data$"):
        load_prices(spec)
    with pytest.raises(InputError, match="; repair the data, let `--repair safe` do what can be done$"):
        load_prices(spec, repair="none")
    assert check_prices(spec).panel.tickers == ()


def test_load_prices_many_sound_tickers_are_not_listed(tmp_path):
    sound = {f"A{k:02d}": [f"{DAYS[0]},1,1,1,1,1"] for k in range(13)}
    with pytest.raises(InputError, match="leave these tickers out with --tickers$"):
        load_prices(folder_of(tmp_path, **sound, BAD=[f"{DAYS[0]},0,0,0,0,0"]), repair="none")


@pytest.mark.parametrize("repair", ["none", "safe"])
def test_load_prices_unsorted_rows_of_a_parquet_ticker_are_sorted(tmp_path, repair):
    table = long_table(["AAA", "BBB"], trading_sessions("2020-01-02", "2020-01-31"))
    one = load_prices(write_parquet(tmp_path / "one.parquet", table), repair=repair)
    turned = table.sort_values(["ticker", "date"], ascending=[True, False])
    assert load_prices(write_parquet(tmp_path / "two.parquet", turned), repair=repair).digest() == one.digest()


def test_load_prices_defect_after_the_cut_is_not_seen(tmp_path):
    lines = [f"{DAYS[0]},1,1,1,1,1", f"{DAYS[1]},0,0,0,0,0", f"{DAYS[2]},1,one,1,1,1"]
    spec = folder_of(tmp_path, ABC=lines)
    assert load_checked(spec, last=pd.Timestamp(DAYS[0])).findings == ()
    two = load_checked(spec, last=pd.Timestamp(DAYS[1]))
    assert [(f.kind, f.action) for f in two.findings] == [("all-zero bar", "row removed")]
    three = load_checked(spec, last=pd.Timestamp(DAYS[2]))
    assert [(f.kind, f.action) for f in three.findings] == [
        ("all-zero bar", "row removed"),
        ("not a number", "row removed"),
    ]
    assert three.panel.traded.sum() == 1
    with pytest.raises(InputError, match="ABC 2020-01-03: all four prices are 0 .and 1 more defect.; repair"):
        load_prices(spec, last=pd.Timestamp(DAYS[2]), repair="none")


def test_load_prices_cut_before_a_late_listing_leaves_it_out_unless_named(tmp_path):
    spec = folder_of(tmp_path, OLD=[f"{DAYS[0]},1,1,1,1,1"], NEW=[f"{DAYS[2]},1,1,1,1,1"])
    last = pd.Timestamp(DAYS[1])
    assert load_prices(spec, last=last).tickers == ("OLD",)
    with pytest.raises(InputError, match="`--to 2020-01-03`: expected bars .*, received later ones only for NEW"):
        load_prices(spec, last=last, tickers=["OLD", "NEW"])


def test_load_prices_cut_before_all_data_raises(tmp_path):
    spec = folder_of(tmp_path, ABC=[f"{DAYS[0]},1,1,1,1,1"])
    with pytest.raises(InputError, match="`--to 2019-01-01`: .* only for ABC in csv:.*; choose a later date or"):
        load_prices(spec, last=pd.Timestamp("2019-01-01"))


def test_load_prices_adjusted_close_in_some_files_only_raises(tmp_path):
    adjusted = ["Date,Open,High,Low,Close,Volume,Adj Close", f"{DAYS[0]},1,1,1,1,1,1"]
    spec = folder_of(tmp_path, AAA=adjusted, BBB=[f"{DAYS[0]},1,1,1,1,1"])
    expected = "expected an adjusted close for every ticker or for none, received one for AAA and none for BBB; add the"
    with pytest.raises(InputError, match=expected):
        load_prices(spec)
    assert load_prices(spec, tickers=["BBB"]).price_basis == "fully_adjusted"


ALPHA_VANTAGE = ["timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient"]


def test_load_prices_alpha_vantage_is_as_traded_and_its_split_moves_no_return(tmp_path):
    # Two for one on the 6th: the tape halves, the adjusted close does not move.
    rows = [f"{DAYS[2]},5,5,5,5,5,200,0,2.0", f"{DAYS[1]},10,10,10,10,5,100,0,1.0"]
    (tmp_path / "ABC.csv").write_text("\n".join([*ALPHA_VANTAGE, *rows]))
    panel = load_prices(f"csv:{tmp_path}")
    assert panel.price_basis == "as_traded"
    assert panel.close[:, 0].tolist() == [10, 10]
    assert panel.source_price("close")[:, 0].tolist() == [10, 5]
    assert panel.source_volume[:, 0].tolist() == [100, 200]


def test_load_prices_of_two_bases_raises(tmp_path):
    (tmp_path / "ABC.csv").write_text("\n".join([*ALPHA_VANTAGE, f"{DAYS[1]},10,10,10,10,5,100,0,1.0"]))
    spec = folder_of(tmp_path, XYZ=["Date,Open,High,Low,Close,Volume,Adj Close", f"{DAYS[1]},1,1,1,1,1,1"])
    with pytest.raises(InputError, match="prices of one basis, received as_traded for ABC and split_adjusted for XYZ"):
        load_prices(spec)


def test_load_prices_unknown_ticker_raises_with_the_nearest(tmp_path):
    spec = folder_of(tmp_path, AAPL=[f"{DAYS[0]},1,1,1,1,1"], PYPL=[f"{DAYS[0]},1,1,1,1,1"])
    with pytest.raises(
        InputError, match=r"tickers of csv:.*, which has AAPL, PYPL, received APPL. Did you mean 'AAPL'\?"
    ):
        load_prices(spec, tickers=["appl", "PYPL"])


def test_load_prices_unknown_ticker_of_a_large_source_shows_some(tmp_path):
    table = long_table([f"T{k:02d}" for k in range(30)], trading_sessions("2020-01-02", "2020-01-03"))
    spec = write_parquet(tmp_path / "p.parquet", table)
    with pytest.raises(InputError, match=r"which has T00, .*, T10, … T29 \(30 in all\), received T2.*"):
        load_prices(spec, tickers=["T2"])


def test_load_prices_no_tickers_raises(tmp_path):
    with pytest.raises(InputError, match="`tickers`: expected at least one ticker, received none; leave it out"):
        load_prices(folder_of(tmp_path, ABC=[f"{DAYS[0]},1,1,1,1,1"]), tickers=[])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("yahoo", "`yahoo`: expected prices on disk, received a download; fetch them with .* and use parquet:DIR"),
        (
            "parqet:p",
            r"expected synthetic, csv:DIR, parquet:FILE.DIR or yahoo, received 'parqet:p'. Did you mean 'parquet'\?",
        ),
        ("prices", "`--prices`: expected synthetic, csv:DIR, parquet:FILE.DIR or yahoo, received 'prices'"),
        ("", "`--prices`: expected synthetic, csv:DIR, parquet:FILE.DIR or yahoo, received ''"),
        ("csv", "`--prices csv`: expected a path after the colon, received none; write csv:PATH"),
        ("parquet:", "`--prices parquet`: expected a path after the colon, received none; write parquet:PATH"),
        ("csv:none/such", "`csv:none/such`: expected a folder .*, received a path that does not exist"),
        ("parquet:none/such", "`parquet:none/such`: expected a Parquet file .*, received a path that does not exist"),
    ],
)
def test_open_source_spec_that_names_none_raises(spec, message):
    with pytest.raises(InputError, match=message):
        open_source(spec)


# ---- real files


def test_load_prices_sixty_real_stocks_load_whole(real_data):
    table = pd.read_parquet(real_data / "prices_60.parquet")
    panel = load_prices(f"parquet:{real_data / 'prices_60.parquet'}")
    assert panel.close.shape == (2693, 60)
    assert panel.traded.sum() == len(table) - 1  # AMD once repeats its close without a trade
    table = table.drop(table.index[(table["ticker"] == "AMD") & (table["volume"] == 0)])
    for name in ("open", "high", "low", "close"):
        wide = table.pivot_table(index="date", columns="ticker", values=name)
        np.testing.assert_allclose(panel.source_price(name), wide.to_numpy(), rtol=1e-12)
    adjusted = table.pivot_table(index="date", columns="ticker", values="adj_close").to_numpy()
    np.testing.assert_allclose(panel.close / panel.close[0], adjusted / adjusted[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("ticker", "bars", "first", "last"),
    [
        ("AAPL", 5031, "2000-01-03", "2019-12-31"),
        ("AIG", 5031, "2000-01-03", "2019-12-31"),  # 2011-01-20: warrants, a right jump of the factor by a fifth
        ("AMCR", 550, "2012-05-15", "2019-12-31"),  # 1,370 rows are copies of the last close, without volume
        ("CBS", 1234, "2015-01-12", "2019-12-04"),
        ("FB", 2005, "2012-05-18", "2020-05-07"),
        ("HWM", 27, "2019-10-03", "2020-04-01"),
        ("KSU", 133, "2000-01-03", "2000-07-12"),
        ("PYPL", 1220, "2015-07-06", "2020-05-07"),
        ("TWTR", 1635, "2013-11-07", "2020-05-07"),
        ("TWX", 863, "2015-01-12", "2018-06-14"),
        ("UA", 178, "2015-07-01", "2016-03-22"),
    ],
)
def test_load_prices_real_yahoo_file_loads(real_data, ticker, bars, first, last):
    panel = load_prices(f"csv:{real_data / 'csv_yahoo'}", tickers=[ticker])
    assert panel.traded.sum() == bars
    assert (str(panel.sessions[0].date()), str(panel.sessions[-1].date())) == (first, last)


@pytest.mark.parametrize(
    ("ticker", "message"),
    [
        ("CBS", r"CBS 2019-12-04: all four prices are 0 \(and 1 more defect\)"),
        ("KSU", r"KSU 2000-07-13: .* factor changes by \+94% .*, `close` 187.5 then 6.25, `adj_close` 87.5"),
        ("TT", r"TT 2000-08-14: .* \(and \d+ more defects\)"),
    ],
)
def test_load_prices_real_yahoo_file_with_defects_is_refused_without_repair(real_data, ticker, message):
    with pytest.raises(InputError, match=message):
        load_prices(f"csv:{real_data / 'csv_yahoo'}", tickers=[ticker], repair="none")


def test_load_prices_real_folder_without_repair_names_the_refused_and_loads_the_rest(real_data):
    spec = f"csv:{real_data / 'csv_yahoo'}"
    with pytest.raises(InputError, match="in 5 of 12 tickers: CBS .*; HWM .*; KSU .*; TT .*; UA .*") as caught:
        load_prices(spec, repair="none")
    assert "\n" not in str(caught.value)
    rest = str(caught.value).rsplit("--tickers ", 1)[1].split(",")
    panel = load_prices(spec, tickers=rest, repair="none")
    assert panel.tickers == ("AAPL", "AIG", "AMCR", "FB", "PYPL", "TWTR", "TWX")
    assert panel.traded[:, 2].sum() == 1920
    cut = load_prices(spec, tickers=["CBS"], last=pd.Timestamp("2019-12-03"), repair="none")
    assert cut.traded.sum() == 1233

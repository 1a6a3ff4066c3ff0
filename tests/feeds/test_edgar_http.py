"""The client against a local server: what each answer means, and how often it is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from feeds.edgar_http import BASE_VARIABLE, Client, EdgarSettings, NotThere, Transient, UserAgent
from feeds.edgar_pace import Pace
from feeds.errors import InputError
from tests.edgar_server import Edgar, quick, serving

MAP = "/files/company_tickers_exchange.json"
NAME = "company_tickers_exchange.json"


@pytest.fixture
def edgar() -> Iterator[Edgar]:
    with serving(Edgar(tickers=[[1, "ONE", "AAA", "NYSE"]])) as one:
        yield one


def client(edgar: Edgar, told: list[str] | None = None, **changes: float) -> Client:
    settings = quick(edgar, **changes)
    return Client(settings, Pace(settings.per_second, settings.pause_s, (told if told is not None else []).append))


def ask(edgar: Edgar, one: Client) -> bytes:
    return one.persist(lambda: one.get(edgar.address + MAP)).content


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ada",
        "ada@analytical.org",
        "Ada Lovelace ada@",
        "Your Name your@mail.org",
        "Ada Lovelace ada@example.com",
        "Ada Lovelace ada@mail.example.org",
        "Sample Company Name admin@sample.org",
        "Name mail@host",
        "MyCompanyName my.email@domain.com",
        "John Doe doe@doe.org",
        "Ada\nLovelace ada@analytical.org",
        "Adä ada@analytical.org",
    ],
)
def test_user_agent_without_a_real_name_and_address_is_refused(text: str):
    with pytest.raises(InputError, match=r"`--user-agent`: expected your own name and email address"):
        UserAgent.of(text)


@pytest.mark.parametrize("text", ["Ada Lovelace ada@analytical.org", "Analytical Engines Ltd. a.l+sec@eng.co.uk"])
def test_user_agent_with_name_and_address_is_split(text: str):
    agent = UserAgent.of(f" {text} ")
    assert str(agent) == text
    assert "@" in agent.mail


@pytest.mark.parametrize("rate", [0.0, -1.0, 10.5, float("nan")])
def test_settings_with_a_rate_that_the_sec_forbids_are_refused(rate: float):
    with pytest.raises(InputError, match=r"`--rate`: expected requests a second above 0 and up to 10"):
        EdgarSettings(UserAgent("Ada", "ada@analytical.org"), per_second=rate)


def test_settings_on_stand_in_follow_the_variable(monkeypatch: pytest.MonkeyPatch):
    settings = EdgarSettings(UserAgent("Ada", "ada@analytical.org"))
    monkeypatch.delenv(BASE_VARIABLE, raising=False)
    assert settings.on_stand_in() == settings
    monkeypatch.setenv(BASE_VARIABLE, "http://127.0.0.1:9/")
    assert settings.on_stand_in().www == settings.on_stand_in().data == "http://127.0.0.1:9"


def test_every_request_declares_who_asks(edgar: Edgar):
    ask(edgar, client(edgar))
    headers = edgar.asked[0].headers
    assert headers["User-Agent"] == "Ada Lovelace ada@analytical.org"
    assert "gzip" in headers["Accept-Encoding"]


@pytest.mark.parametrize("fault", ["500", "503", "truncated", "hang", "drip"])
def test_fault_that_may_pass_is_tried_again(fault: str, edgar: Edgar):
    edgar.faults[NAME] = [fault, fault]
    assert b"AAA" in ask(edgar, client(edgar, read_s=0.4, whole_s=0.4))
    assert len(edgar.times()) == 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("503", "HTTP status 503"),
        ("truncated", "answer cut short"),
        ("hang", "no answer in time"),
        ("drip", "no answer in time"),
    ],
)
def test_fault_that_stays_is_given_up_after_five_attempts_with_its_reason(fault: str, reason: str, edgar: Edgar):
    edgar.faults[NAME] = [fault] * 9
    one = client(edgar, read_s=0.1, whole_s=0.15)
    with pytest.raises(Transient, match=reason):
        ask(edgar, one)
    assert len(edgar.faults[NAME]) == 4


def test_answer_without_end_is_given_up(edgar: Edgar, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("feeds.edgar_http._MOST_BYTES", 10)
    with pytest.raises(Transient, match="answer larger than 0 MiB"):
        ask(edgar, client(edgar))


def test_no_server_is_a_failed_connection(edgar: Edgar):
    one = client(edgar)
    with pytest.raises(Transient, match="connection failed"):
        one.persist(lambda: one.get("http://127.0.0.1:9/x"))


def test_waits_between_attempts_grow_and_vary(edgar: Edgar):
    edgar.faults[NAME] = ["503"] * 4
    one = client(edgar, backoff_s=0.04)
    ask(edgar, one)
    times = edgar.times()
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    for wait, middle in zip(waits, [0.04, 0.08, 0.16, 0.32], strict=True):
        assert wait >= middle * 0.5
    drawn = [one._backoff(3) for _ in range(100)]
    assert 0.08 <= min(drawn) < 0.12 < 0.2 < max(drawn) <= 0.24


@pytest.mark.parametrize("fault", ["403", "429", "throttle page"])
def test_refusal_pauses_and_is_asked_again(fault: str, edgar: Edgar):
    told: list[str] = []
    edgar.faults[NAME] = [fault]
    assert b"AAA" in ask(edgar, client(edgar, told, pause_s=0.3))
    first, second = edgar.times()
    assert second - first >= 0.29
    assert len(told) == 1
    assert "refused with" in told[0]


def test_address_that_alone_is_refused_is_given_up_after_three_times(edgar: Edgar):
    edgar.faults[NAME] = ["403"] * 5
    with pytest.raises(Transient, match=r"refused with 403 .*, 3 times"):
        ask(edgar, client(edgar, pause_s=0.01))
    assert len(edgar.times()) == 3


def test_missing_document_is_told_at_once(edgar: Edgar):
    one = client(edgar)
    with pytest.raises(NotThere, match=r"not on sec.gov \(404\)"):
        one.persist(lambda: one.get(f"{edgar.address}/submissions/CIK0000000009.json"))
    assert len(edgar.times()) == 1

"""Log lines: one line each, readable, and nothing in them that a terminal would obey."""

import logging

import pytest

from recorder import logs


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """Return a function that logs one warning and returns what came out on stderr."""
    logger = logging.getLogger("xentrail")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "level", logger.level)

    def show(**fields: object) -> str:
        logs.to_stderr()
        logs.warning("not-connected", **fields)
        return capsys.readouterr().err

    return show


def test_line_is_time_level_name_and_fields(line: object) -> None:
    """Fields keep their order; a text with spaces is quoted; None is left out."""
    assert callable(line)
    shown = line(pool="lab", error='the "host" is down', since=None)
    at, rest = shown.split(" ", 1)
    assert len(at) == len("2026-11-23T21:48:24Z")
    assert rest == "warning not-connected pool=lab error=\"the 'host' is down\"\n"


def test_newline_of_a_server_does_not_begin_a_line(line: object) -> None:
    """A text of several lines stays one line."""
    assert callable(line)
    assert line(error="before\nafter").endswith('error="before after"\n')


@pytest.mark.parametrize("evil", ["\r", "\x1b[2J", "\x00", "\x9b", "\u2028"])
def test_text_of_a_server_cannot_forge_a_line_or_drive_a_terminal(line: object, evil: str) -> None:
    """What a host sends ends up in error texts: control characters are not printed as such."""
    assert callable(line)
    shown = line(error=f"before{evil}after")
    assert all(character.isprintable() for character in shown.removesuffix("\n"))

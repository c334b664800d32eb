"""What may stand in a log line, and what never."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot.serve import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers, logging.root.level = handlers, level
    structlog.reset_defaults()


def test_json_lines_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form="json", level="info")
    structlog.get_logger().info("started", adapters=["matrix"])
    structlog.get_logger().debug("detail")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line).items() >= {"event": "started", "level": "info"}.items()


def test_secrets_are_hidden_wherever_they_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form="json", level="info", secrets=["xoxb-4711"])
    structlog.get_logger().error("refused", reason="token xoxb-4711 is not valid")
    assert "4711" not in capsys.readouterr().err


def test_no_value_can_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("json", "text"):
        logs.set_up(form=form, level="info")
        structlog.get_logger().error("seen", room="a\nlevel=info event=forged\x1b[2J\u202e")
        (line,) = capsys.readouterr().err.splitlines()
        assert "\x1b[2J" not in line
        assert "\u202e" not in line


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_library_says_where_but_not_what(capsys: pytest.CaptureFixture[str], level: str) -> None:
    logs.set_up(form="json", level=level)
    library = logging.getLogger("some.library")
    library.debug("body: Was ist EfA?")
    library.warning("unhandled request {'text': 'Was ist EfA?'}")
    try:
        raise ValueError("Was ist EfA?")
    except ValueError:
        library.exception("failed")
    shown = capsys.readouterr().err
    assert "EfA" not in shown
    lines = [json.loads(line) for line in shown.splitlines()]
    assert [line["library"] for line in lines] == ["some.library"] * 2
    assert lines[1]["error"] == "ValueError"

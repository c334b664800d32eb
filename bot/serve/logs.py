"""Log lines for people and machines: never a question's text, never a secret.

Only the bot's own loggers speak.  Of a library's message nothing is shown but who spoke and
where: libraries put bodies and tokens into their messages.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from bot.config import MASK

Fields = MutableMapping[str, Any]


def set_up(*, form: str, level: str, secrets: Iterable[str] = ()) -> None:
    """Send log lines to stderr, as `form` "text" or "json", from `level` on."""
    hidden = tuple(s for s in secrets if s)
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def without_secrets(_logger: Any, _method: str, fields: Fields) -> Fields:
        return {name: _hide(value, hidden) for name, value in fields.items()}

    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=form == "json"),
            without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.root.handlers = [_Libraries(max(threshold, logging.WARNING))]
    logging.root.setLevel(logging.WARNING)


class _Libraries(logging.Handler):
    """Turns a library's record into one line without its message."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"library": record.name, "where": f"{record.filename}:{record.lineno}"}
        if record.exc_info and record.exc_info[0]:
            fields["error"] = record.exc_info[0].__name__
        structlog.get_logger("lotse.library").log(record.levelno, "library_spoke", **fields)


def _hide(value: Any, secrets: tuple[str, ...]) -> Any:
    if not isinstance(value, str):
        return value
    for secret in secrets:
        value = value.replace(secret, MASK)
    return value if value.isprintable() else "".join(c if c.isprintable() else "�" for c in value)

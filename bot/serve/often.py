"""Statements that every question needs, compiled once and handed to the driver as they are.

SQLAlchemy's own way of executing costs several times what SQLite does with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.sql.compiler import SQLCompiler


class Often:
    """`make(dialect)` builds the statement, at its first use; always called with the same names."""

    def __init__(self, make: Callable[[str], Executable]) -> None:
        self._make = make
        self._made: dict[str, Executable] = {}
        self._text = ""
        self._names: Sequence[str] = ()
        self._constants: Mapping[str, Any] = {}

    def __call__(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run it.  The rows that it gives, none where it gives none."""
        name = connection.dialect.name
        if name not in self._made:
            self._made[name] = self._make(name)
            if name == "sqlite":
                self._compile(connection, values)
        if name != "sqlite":
            result = connection.execute(self._made[name], values)
            return result.fetchall() if result.returns_rows else ()
        driver: Any = connection.connection.dbapi_connection
        bound = [values[n] if n in values else self._constants[n] for n in self._names]
        rows: Sequence[Any] = driver.execute(self._text, bound).fetchall()
        return rows

    def _compile(self, connection: Connection, values: Mapping[str, Any]) -> None:
        made: Any = self._made["sqlite"]
        compiled: SQLCompiler = made.compile(dialect=connection.dialect, column_keys=list(values))
        self._text, self._names = str(compiled), compiled.positiontup or ()
        self._constants = compiled.params

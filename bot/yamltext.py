"""YAML that editors write, read safely: text in, plain data and positions out.

YAML 1.2 scalars (`no` stays a text, `0715` stays a text), no duplicate keys, no anchors,
aliases, merges or tags, capped depth and size.  Every value keeps its line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import yaml

MAX_CHARACTERS = 2_000_000
MAX_DEPTH = 30

Path = tuple[str | int, ...]

try:  # libyaml is some eight times faster; the wheel has it on all usual platforms
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Line and column as editors count them, from 1."""

    line: int = 1
    column: int = 1


class Unreadable(Exception):
    """The text is not the YAML that is allowed here; the message is German."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.position = position


@dataclass(slots=True)
class Document:
    """`data` is dicts, lists and scalars; `positions` maps a path into it to its place."""

    data: Any
    positions: dict[Path, Position] = field(default_factory=dict)

    def position(self, path: Path) -> Position:
        """The place of `path` or of the nearest thing around it."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position())


def read(text: str) -> Document:
    """Parse one YAML document.  Raises `Unreadable`, never anything else."""
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"Die Datei ist größer als {MAX_CHARACTERS} Zeichen.", Position())
    try:
        _refuse_dangers(yaml.parse(text, _Loader))
        node = yaml.compose(text, _Loader)
        document = Document(None)
        document.data = _construct(node, (), document.positions) if node else None
        return document
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_german(error), _position(error.problem_mark)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise Unreadable(f"Die Datei ist kein lesbarer Text: {error}", Position()) from None


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else Position()


def _german(error: yaml.MarkedYAMLError) -> str:
    hint = "Bitte Einrückung, Doppelpunkte und Anführungszeichen in dieser Zeile prüfen."
    return f"YAML-Fehler ({error.problem or error.context}). {hint}"


def _refuse_dangers(events: Iterator[yaml.Event]) -> None:
    """Scan before anything is built: the C loader crashes on depth, aliases may explode."""
    depth = 0
    for event in events:
        here = _position(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Unreadable("Anker und Verweise (& und *) sind nicht erlaubt.", here)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise Unreadable(f"Mehr als {MAX_DEPTH} Ebenen ineinander.", here)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            raise Unreadable(f"Tags wie „{tag}“ sind nicht erlaubt.", here)


def _construct(node: yaml.Node, path: Path, positions: dict[Path, Position]) -> Any:
    positions.setdefault(path, _position(node.start_mark))
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            here = _position(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                raise Unreadable("Ein Feldname muss ein einfaches Wort sein.", here)
            key = key_node.value
            if key == "<<":
                raise Unreadable("Zusammenführen mit << ist nicht erlaubt.", here)
            if key in mapping:
                raise Unreadable(f"„{key}“ steht hier zweimal. Bitte eines löschen.", here)
            positions[(*path, key)] = here
            mapping[key] = _construct(value_node, (*path, key), positions)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, i), positions) for i, item in enumerate(node.value)]
    return _scalar(node.value, quoted=getattr(node, "style", None) is not None)


def _scalar(text: str, *, quoted: bool) -> Any:
    """YAML 1.2 core schema plus dates; everything else, and all that is quoted, is text."""
    if quoted:
        return text
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    if _DATE.match(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            return text
    return text

"""YAML that editors write, read safely: text in, plain data and positions out.

Scalars are the text that was typed (`no`, `0715`, `12:30`, `1.10`) but for true, false and
null; no duplicate keys, anchors, aliases, merges or tags; capped depth and size.  Every value
keeps its line and column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 30
MAX_NODES = 100_000  # values and containers; 1,000 full entries have some 40,000

Path = tuple[str | int, ...]

try:  # libyaml is some eight times faster; the wheel has it on all usual platforms
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_CONSTANTS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}


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
        raise Unreadable(f"Der Text ist länger als {MAX_CHARACTERS} Zeichen.", Position())
    try:
        _refuse_dangers(yaml.parse(text, _Loader))
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_german(error), _position(error.problem_mark)) from None
    except yaml.reader.ReaderError as error:
        raise Unreadable(_UNPRINTABLE, _place(text, error.position)) from None
    except UnicodeEncodeError as error:  # a lone surrogate, never from a UTF-8 file
        raise Unreadable(_UNPRINTABLE, _place(text, error.start)) from None
    document = Document(None)
    document.data = _construct(node, (), document.positions) if node else None
    return document


_UNPRINTABLE = "Hier steht ein unsichtbares Steuerzeichen. Bitte löschen."


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else Position()


def _place(text: str, index: int) -> Position:
    before = text[:index]
    return Position(before.count("\n") + 1, index - before.rfind("\n"))


_QUOTE = "Text mit Sonderzeichen bitte in Anführungszeichen setzen."
_INDENT = "Bitte die Einrückung dieser und der vorigen Zeile prüfen."
_MEANS = {  # what libyaml and PyYAML say, and what the editor has to do
    "mapping values are not allowed": f"Ein Doppelpunkt zu viel in der Zeile. {_QUOTE}",
    "exceeded maximum nesting depth": f"Mehr als {MAX_DEPTH} Ebenen ineinander.",
    "did not find expected key": _INDENT,
    "did not find expected '-' indicator": f"Hier wird „- “ erwartet. {_INDENT}",
    "could not find expected ':'": f"Nach dem Feldnamen fehlt der Doppelpunkt. {_INDENT}",
    "cannot start any token": f"Mit diesem Zeichen darf kein Text beginnen. {_QUOTE}",
    "block sequence entries are not allowed": f"Ein „- “ an falscher Stelle. {_INDENT}",
    "unexpected end of stream": "Ein Anführungszeichen wird nicht geschlossen.",
    "did not find expected ',' or ']'": f"Eine Liste mit [ wird nicht geschlossen. {_QUOTE}",
    "did not find expected ',' or '}'": f"Eine Klammer {{ wird nicht geschlossen. {_QUOTE}",
    "unknown escape character": "Hinter \\ steht ein unbekanntes Zeichen. Bitte '…' statt \"…\".",
    "undefined alias": "Verweise mit * sind nicht erlaubt. Text bitte in Anführungszeichen setzen.",
    "expected a single document": "Die Datei enthält mehrere Dokumente. Bitte „---“ löschen.",
    "control characters are not allowed": _UNPRINTABLE,
}


def _german(error: yaml.MarkedYAMLError) -> str:
    said = f"{error.problem or ''} {error.context or ''}".strip()
    for words, meaning in _MEANS.items():
        if words in said:
            return meaning
    return f"Die Datei ist kein gültiges YAML ({said}). {_INDENT}"


def _refuse_dangers(events: Iterator[yaml.Event]) -> None:
    """Scan before anything is built: the C loader crashes on depth, aliases may explode."""
    depth = 0
    for count, event in enumerate(events):
        if count > 2 * MAX_NODES:
            raise Unreadable(f"Die Datei hat mehr als {MAX_NODES} Werte.", Position())
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Unreadable("Anker und Verweise (& und *) sind nicht erlaubt.", _position(mark))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise Unreadable(f"Mehr als {MAX_DEPTH} Ebenen ineinander.", _position(mark))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            raise Unreadable(f"Tags wie „{tag}“ sind nicht erlaubt.", _position(mark))


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
    plain = isinstance(node, yaml.ScalarNode) and not node.style
    return _CONSTANTS.get(node.value, node.value) if plain else node.value

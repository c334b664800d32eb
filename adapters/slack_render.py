"""Turns a `Reply` into Slack messages: Block Kit plus the complete plain text.  Pure.

Nothing that somebody typed is ever formatted: it stands in `rich_text` and `plain_text`, which
Slack does not parse, and is escaped in `text`.  Long replies split at fixed places, so that
every try of the same answer gives the same parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from bot.chat import Option, Person, Reply, Source
from bot.markup import (
    Block,
    Break,
    Bullets,
    Code,
    Emphasis,
    Inline,
    Link,
    Paragraph,
    Strong,
    Text,
    option_lines,
    parse,
    plain,
    source_lines,
    standing,
)

Json = dict[str, Any]

# Slack's limits.  `text` should stay below 4,000; together they stay below the 12,000 characters
# that a message may show.
MAX_PART, MAX_BLOCKS = 3_900, 44
MAX_CHUNK, MAX_CONTEXT, MAX_HEADER = 2_500, 1_900, 150
MAX_BUTTON, MAX_VALUE, MAX_URL, MAX_ACTIONS = 75, 2_000, 3_000, 25
MAX_CHOICES = 3 * MAX_ACTIONS

# What the buttons say to the adapter (`action_id`); an option's goes on with its number.
CHOOSE, SOURCE, RATE, SHOW, REPLY, NOTE, BROWSE, HOME = (
    "lotse_choose:", "lotse_source:", "lotse_rate", "lotse_show",
    "lotse_reply", "lotse_note", "lotse_browse:", "lotse_home",
)  # fmt: skip
UP, DOWN = "up:", "down:"  # values of the feedback buttons, followed by the key


_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One message: what screen readers and notifications get, and what is shown."""

    text: str  # mrkdwn, escaped
    blocks: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Extras:
    """What goes below an answer besides the reply itself."""

    shareable: bool = False  # only the asker sees it: offer it to the channel
    handover: bool = False  # in the team's room: answer it, take it into the knowledge


@dataclass(frozen=True, slots=True)
class _Piece:
    """The smallest thing that is never torn apart: one line of text and how it is shown.

    `rich` is an element of a rich_text block (neighbours share one), `block` a block of its own;
    with neither, buttons show it.
    """

    text: str
    rich: Json | None = None
    block: Json | None = None
    gap: str = "\n"  # between this piece and the one before


@dataclass(slots=True)
class _Draft:
    pieces: list[_Piece] = field(default_factory=list)
    size: int = 0


def render(reply: Reply, key: str, extras: Extras = Extras()) -> tuple[Part, ...]:
    """The messages of a reply, at least one; `key` marks their blocks (see `marker`)."""
    drafts, whole = _drafts(reply)
    parts = []
    for number, draft in enumerate(drafts):
        blocks = _blocks(draft.pieces)
        if number == len(drafts) - 1:
            blocks += _buttons(reply, key, extras)
        blocks[0]["block_id"] = marker(key, number)
        text = escape(_joined(draft.pieces)) if len(drafts) > 1 else whole
        person = None if number else reply.mention
        parts.append(Part(_addressed(text, person), tuple(blocks)))
    return tuple(parts)


@lru_cache(maxsize=256)
def _drafts(reply: Reply) -> tuple[tuple[_Draft, ...], str]:
    """The parts and the whole text, escaped: most of the work, kept for what many ask for."""
    return tuple(_packed(_pieces(reply))), escape(plain(reply))


def passage(reply: Reply, most: int) -> list[Json]:
    """A reply as blocks without buttons, at most `most` of them, e.g. for the Home tab."""
    return _blocks(_pieces(reply))[:most]


def bare(part: Part) -> Part:
    """The part without blocks, where Slack refuses them."""
    return Part(part.text, ())


def marker(key: str, part: int) -> str:
    """The `block_id` by which a posted part is found again; at most 80 characters."""
    return f"lotse/{key}/{part}"


def marked(message: Json) -> tuple[str, int] | None:
    """Key and number of the part that a message is, None where the bot did not post it so."""
    metadata = message.get("metadata", {}).get("event_payload", {})
    names = [b.get("block_id", "") for b in message.get("blocks", [])]
    for name in [*names, str(metadata.get("part", ""))]:
        if found := re.fullmatch(r"lotse/([^/]+)/(\d+)", name):
            return found[1], int(found[2])
    return None


def escape(text: str) -> str:
    """The text as mrkdwn that shows exactly it: no mention, no link, no broadcast."""
    return _visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _width(text: str) -> int:
    """The length of the escaped text, without making it."""
    return len(text) + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def _visible(text: str) -> str:
    """The text without control characters and those that turn or hide what is read."""
    return _INVISIBLE.sub("", text)


def _addressed(text: str, person: Person | None) -> str:
    """The escaped text with its one mention, which only `Reply.mention` can bring about."""
    if person is None:
        return text
    name = escape(f"@{person.name}")
    ping = f"<@{person.id}>"
    return text.replace(name, ping, 1) if name in text else f"{ping} {text}"


# --- pieces -----------------------------------------------------------------------


def _pieces(reply: Reply) -> Iterator[_Piece]:
    """The reply in the order of `bot.markup.plain`, in pieces that fit into a block."""
    if reply.lead or reply.mention:
        yield from _lead(reply.lead, reply.mention)
    gap = "\n\n"
    if reply.title:
        yield from _titled(reply.title)
        gap = "\n"
    for block in parse(reply.body):
        for number, (text, rich) in enumerate(_rich(block)):
            yield _Piece(text, rich=rich, gap="\n" if number else gap)
        gap = "\n\n"
    gap = "\n\n"
    for line in (*source_lines(reply.sources), *standing(reply)):
        for chunk in _chunks(line, MAX_CONTEXT):
            yield _Piece(chunk, block=_context(chunk), gap=gap)
            gap = "\n"
    for piece in _choices(reply):
        yield replace(piece, gap=gap)
        gap = "\n"
    for chunk in _chunks(reply.closing, MAX_CONTEXT):
        yield _Piece(chunk, block=_context(chunk), gap=gap)
        gap = "\n"


def _lead(lead: str, person: Person | None) -> Iterator[_Piece]:
    before, name, after = lead.partition(f"@{person.name}") if person else ("", "", lead)
    for number, chunk in enumerate(_chunks(after, MAX_CHUNK) or ("",)):
        elements = [_text(chunk)] if chunk else []
        text = chunk
        if person and number == 0:
            user: Json = {"type": "user", "user_id": person.id}
            elements = [*([_text(before)] if before else []), user, *elements]
            text = before + (name or f"@{person.name}") + chunk
        if elements:
            yield _Piece(text, rich=_section(elements), gap="\n")


def _titled(title: str) -> Iterator[_Piece]:
    if len(title) <= MAX_HEADER:
        yield _Piece(title, block={"type": "header", "text": _plain(title)}, gap="\n\n")
        return
    for chunk in _chunks(title, MAX_CHUNK):
        yield _Piece(chunk, rich=_section([_text(chunk, {"bold": True})]), gap="\n\n")


def _choices(reply: Reply) -> Iterator[_Piece]:
    """The prompt and the options; what buttons hold completely is not shown twice."""
    first, *rest = [*option_lines(reply), ""]
    if _fit_on_buttons(reply):
        shown = _section([_text(reply.prompt)]) if reply.prompt else None
        for number, chunk in enumerate(_chunks(first, MAX_CHUNK)):
            yield _Piece(chunk, rich=None if number else shown)
        for chunk in (c for line in rest for c in _chunks(line, MAX_CHUNK)):
            yield _Piece(chunk)
        return
    for chunk in (c for line in (first, *rest) for c in _chunks(line, MAX_CHUNK)):
        yield _Piece(chunk, rich=_section([_text(chunk)]))


def _fit_on_buttons(reply: Reply) -> bool:
    labels = [_label(option) for option in reply.options]
    fit = len(labels) <= MAX_CHOICES and all(len(label) <= MAX_BUTTON for label in labels)
    return fit and _width(reply.prompt) <= MAX_CHUNK


def _rich(block: Block, indent: int = 0) -> Iterator[tuple[str, Json]]:
    """A block of the Markdown subset as elements of rich_text, each with its plain text."""
    if isinstance(block, Paragraph):
        for elements in _cut(list(_elements(block.children))):
            yield _shown(elements), _section(elements)
        return
    for offset, item in enumerate(block.items):
        yield from _item(block, offset, item, indent)


def _item(
    parent: Bullets, offset: int, item: Sequence[Block], indent: int
) -> Iterator[tuple[str, Json]]:
    """One item of a list: its paragraphs as one element, lists below it as further ones."""
    number = None if parent.start is None else parent.start + offset
    elements: list[Json] = []
    for block in item:
        if isinstance(block, Paragraph):
            elements += [_text("\n")] if elements else []
            elements += _elements(block.children)
    mark = "- " if number is None else f"{number}. "
    margin = "  " * indent
    for part, some in enumerate(_cut(elements) or [[_text(" ")]]):
        if part:  # the rest of a very long item
            yield margin + _shown(some), _section(some)
        else:
            yield margin + mark + _shown(some), _list(some, number, indent)
    for block in item:
        if isinstance(block, Bullets):
            yield from _rich(block, min(indent + 1, 8))


def _list(elements: list[Json], number: int | None, indent: int) -> Json:
    shown: Json = {
        "type": "rich_text_list",
        "style": "bullet" if number is None else "ordered",
        "indent": indent,
        "elements": [_section(elements)],
    }
    return shown | ({"offset": number - 1} if number and number > 1 else {})


def _elements(inlines: Iterable[Inline], style: dict[str, bool] | None = None) -> Iterator[Json]:
    style = style or {}
    for inline in inlines:
        match inline:
            case Text(text) if text:
                yield _text(text, style)
            case Code(text) if text:
                yield _text(text, style | {"code": True})
            case Break():
                yield _text("\n")
            case Strong(children):
                yield from _elements(children, style | {"bold": True})
            case Emphasis(children):
                yield from _elements(children, style | {"italic": True})
            case Link(url, children):
                yield from _link(url, _shown(list(_elements(children))), style)


def _link(url: str, label: str, style: dict[str, bool]) -> Iterator[Json]:
    """A link with its label; one that is too long for Slack is written out."""
    target = url.removeprefix("mailto:")
    if len(url) > MAX_URL or len(label) > MAX_CHUNK:
        yield _text(target if label in {target, url} else f"{label} ({target})", style)
        return
    shown: Json = {"type": "link", "url": url, "text": label or target}
    yield shown | ({"style": style} if style else {})


def _text(text: str, style: dict[str, bool] | None = None) -> Json:
    return {"type": "text", "text": _visible(text) or " "} | ({"style": style} if style else {})


def _section(elements: Iterable[Json]) -> Json:
    return {"type": "rich_text_section", "elements": list(elements)}


def _shown(elements: Iterable[Json]) -> str:
    """The plain text of rich_text elements, link targets written out."""
    return "".join(_shown_element(e) for e in elements)


def _shown_element(element: Json) -> str:
    if element["type"] != "link":
        return str(element["text"])
    label, target = element["text"], element["url"].removeprefix("mailto:")
    return target if label in {target, element["url"]} else f"{label} ({target})"


def _cut(elements: list[Json]) -> list[list[Json]]:
    """Elements in groups of at most `MAX_CHUNK` characters, long texts cut at a space."""
    groups: list[list[Json]] = []
    size = MAX_CHUNK + 1
    for element in elements:
        pieces: Iterable[Json] = [element]
        if element["type"] == "text":
            pieces = ({**element, "text": t} for t in _chunks(element["text"], MAX_CHUNK))
        for piece in pieces:
            length = _width(_shown_element(piece))
            if size + length > MAX_CHUNK:
                groups.append([])
                size = 0
            groups[-1].append(piece)
            size += length
    return groups


def _chunks(text: str, most: int) -> tuple[str, ...]:
    """The text in pieces of at most `most` characters once escaped; no character is lost."""
    if _width(text) <= most:
        return (text,) if text else ()
    found, rest = [], text
    while rest:
        stop = most
        while _width(rest[:stop]) > most:  # only text full of & < > comes here
            stop = stop * 2 // 3
        if stop < len(rest):
            stop = max(rest.rfind(mark, 0, stop) + 1 for mark in ("\n", " ")) or stop
        found.append(rest[:stop])
        rest = rest[stop:]
    return tuple(found)


# --- packing ----------------------------------------------------------------------


def _packed(pieces: Iterable[_Piece]) -> Iterator[_Draft]:
    """The pieces in as few messages as the limits allow, filled from the first on."""
    draft = _Draft()
    for piece in pieces:
        length = _width(piece.text) + 2
        blocks = len(draft.pieces) + 1  # at most: neighbours share a block
        if draft.pieces and (draft.size + length > MAX_PART or blocks > MAX_BLOCKS):
            yield draft
            draft = _Draft()
        draft.pieces.append(piece)
        draft.size += length
    if not draft.pieces:
        draft.pieces.append(_Piece("…", rich=_section([_text("…")])))
    yield draft


def _joined(pieces: Sequence[_Piece]) -> str:
    return "".join(p.text if not n else p.gap + p.text for n, p in enumerate(pieces))


def _blocks(pieces: Iterable[_Piece]) -> list[Json]:
    blocks: list[Json] = []
    for piece in pieces:
        if piece.block is not None:
            blocks.append(dict(piece.block))
        elif piece.rich is not None:
            if not blocks or blocks[-1]["type"] != "rich_text":
                blocks.append({"type": "rich_text", "elements": []})
            _append(blocks[-1]["elements"], {**piece.rich, "elements": [*piece.rich["elements"]]})
    return blocks or [{"type": "rich_text", "elements": [_section([_text("…")])]}]


def _append(elements: list[Json], element: Json) -> None:
    """Put neighbouring items of one list together, and an empty line between paragraphs."""
    last = elements[-1] if elements else None
    if last and last["type"] == element["type"] == "rich_text_list":
        same = all(last.get(k) == element.get(k) for k in ("style", "indent"))
        if same and (last["style"] == "bullet" or _follows(last, element)):
            last["elements"] += element["elements"]
            return
    if last and last["type"] == element["type"] == "rich_text_section":
        last["elements"].append(_text("\n\n"))
        last["elements"] += element["elements"]
        return
    elements.append(element)


def _follows(last: Json, element: Json) -> bool:
    return bool(element.get("offset", 0) == last.get("offset", 0) + len(last["elements"]))


# --- buttons ----------------------------------------------------------------------


def _buttons(reply: Reply, key: str, extras: Extras) -> list[Json]:
    """What stands below the last part.  The block ids keep it apart from other answers."""
    blocks = [
        _row([choice(option, CHOOSE) for option in some], f"lotse-options/{key}/{number}")
        for number, some in enumerate(_rows(reply.options))
    ]
    links = [_source_button(n, s) for n, s in enumerate(_linked(reply.sources))]
    person = f" {reply.mention.id}" if reply.mention else ""  # the store forgets who it is
    more = [_button("Im Kanal zeigen", SHOW, key + person)] if extras.shareable else []
    if extras.handover:
        more += [_button("Beantworten", REPLY, key), _button("Ins Wissen aufnehmen", NOTE, key)]
    if links or more:
        blocks.append(_row([*links[: MAX_ACTIONS - 3], *more], f"lotse-more/{key}"))
    if reply.rateable:
        blocks.append(_feedback(key))
    return blocks


def _rows(options: Sequence[Option]) -> Iterator[Sequence[Option]]:
    """The first options as buttons; any further one is chosen by its number in the text."""
    for start in range(0, min(len(options), MAX_CHOICES), MAX_ACTIONS):
        yield options[start : start + MAX_ACTIONS]


def choice(option: Option, action: str) -> Json:
    """The button of an option.  Its value is the title: right also below an older list."""
    return _button(_label(option), f"{action}{option.number}", option.title[:MAX_VALUE])


def _label(option: Option) -> str:
    return f"{option.number} {option.title}"


def _linked(sources: Iterable[Source]) -> list[Source]:
    """Sources with an address of their own, each address once."""
    found = {s.url: s for s in reversed(list(sources)) if _is_web(s.url)}
    return list(reversed(found.values()))


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://")) and len(url) <= MAX_URL


def _source_button(number: int, source: Source) -> Json:
    shown = _button(f"Quelle öffnen: {source.title}", f"{SOURCE}{number}", "")
    return {k: v for k, v in shown.items() if k != "value"} | {"url": source.url}


def _button(label: str, action: str, value: str) -> Json:
    return {
        "type": "button", "text": _plain(_short(label, MAX_BUTTON)), "action_id": action,
        "value": value, "accessibility_label": _short(label, MAX_BUTTON),
    }  # fmt: skip


def _feedback(key: str) -> Json:
    return {
        "type": "context_actions",
        "block_id": f"lotse-rate/{key}",
        "elements": [{
            "type": "feedback_buttons",
            "action_id": RATE,
            "positive_button": {
                "text": _plain("Hilfreich"), "value": UP + key,
                "accessibility_label": "Diese Antwort war hilfreich",
            },
            "negative_button": {
                "text": _plain("Nicht hilfreich"), "value": DOWN + key,
                "accessibility_label": "Diese Antwort war nicht hilfreich",
            },
        }],
    }  # fmt: skip


def _row(elements: list[Json], block_id: str) -> Json:
    return {"type": "actions", "block_id": block_id, "elements": elements}


def _context(text: str) -> Json:
    return {"type": "context", "elements": [_plain(text)]}


def _plain(text: str) -> Json:
    """Text that Slack shows as it is: no formatting, no mention, no :emoji: names."""
    return {"type": "plain_text", "text": _visible(text) or " ", "emoji": False}


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

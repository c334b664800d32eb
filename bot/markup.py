"""The Markdown subset of passages: what it may hold, as a small tree, as plain text.

Bold, italic, code, links (https, http, mailto), lists, hard line breaks (`\\` at the end of a
line); everything else stays the text that it is.  Adapters render the tree, never raw Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from bot.chat import Option, Outcome, Reply, Source

# --- the tree -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    text: str


@dataclass(frozen=True, slots=True)
class Break:
    """A line break that the editor asked for."""


@dataclass(frozen=True, slots=True)
class Strong:
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Emphasis:
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """`url` has passed `allowed`; `children` never hold another link."""

    url: str
    children: tuple[Inline, ...]


Inline = Text | Code | Break | Strong | Emphasis | Link


@dataclass(frozen=True, slots=True)
class Paragraph:
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list; `start` is the first number, None for a list without numbers."""

    items: tuple[tuple[Block, ...], ...]
    start: int | None = None


Block = Paragraph | Bullets

# --- reading --------------------------------------------------------------------

_SUBSET = ["autolink", "backticks", "emphasis", "escape", "link", "list", "newline"]
_SCHEMES = {"https", "http", "mailto"}
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f-\x9f\\<>\"\u200b-\u200f\u202a-\u202e\u2060-\u2069]")
_GENDER_STAR = re.compile(r"`[^`]*`|(?<=\w)\*(?=\w)")  # „Bürger*innen“ opens no italics
_SPECIAL = re.compile(r"([\\`*_\[\]<>])")
_LIST_MARK = re.compile(r"^(\s*)([-+]|\d+[.)])(?=\s|$)", re.MULTILINE)


def allowed(url: str) -> bool:
    """Whether people may be sent there: https or http with a plain host, or mailto."""
    if _UNSAFE_IN_URL.search(url):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme not in _SCHEMES:
        return False
    if parts.scheme == "mailto":
        return "@" in parts.path and not parts.netloc
    return bool(host) and "@" not in parts.netloc


def _parser() -> MarkdownIt:
    parser = MarkdownIt("zero").enable(_SUBSET)
    parser.validateLink = allowed  # type: ignore[method-assign]
    return parser


_PARSER = _parser()


@lru_cache(maxsize=4096)
def parse(markdown: str) -> tuple[Block, ...]:
    """The tree of a text; never raises, what is no Markdown of the subset is plain text."""
    text = _GENDER_STAR.sub(lambda m: "\\*" if m[0] == "*" else m[0], markdown)
    return _blocks(SyntaxTreeNode(_PARSER.parse(text)).children)


def _blocks(nodes: Iterable[SyntaxTreeNode]) -> tuple[Block, ...]:
    return tuple(_block(node) for node in nodes)


def _block(node: SyntaxTreeNode) -> Block:
    if node.type in {"bullet_list", "ordered_list"}:
        items = tuple(_blocks(item.children) for item in node.children)
        start = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
        return Bullets(items, start)
    return Paragraph(tuple(i for child in node.children for i in _inlines(child.children)))


def _inlines(nodes: Iterable[SyntaxTreeNode]) -> tuple[Inline, ...]:
    inlines = (_inline(node) for node in nodes)
    return tuple(i for i in inlines if i != Text(""))


def _inline(node: SyntaxTreeNode) -> Inline:
    match node.type:
        case "strong":
            return Strong(_inlines(node.children))
        case "em":
            return Emphasis(_inlines(node.children))
        case "link":
            url, children = str(node.attrs["href"]), _inlines(node.children)
            return Link(url, children) if allowed(url) else Text(_plain_inlines(children))
        case "code_inline":
            return Code(node.content)
        case "hardbreak":
            return Break()
        case "softbreak":
            return Text(" ")
        case _:
            return Text(node.content)


def escape(text: str) -> str:
    """Markdown that shows exactly `text`, for putting somebody's words into a body."""
    return _LIST_MARK.sub(_escaped_mark, _SPECIAL.sub(r"\\\1", text))


def _escaped_mark(match: re.Match[str]) -> str:
    indent, mark = match.groups()
    return f"{indent}{mark[:-1]}\\{mark[-1]}"


# --- what the subset leaves out -------------------------------------------------

_FOREIGN = {
    "heading": "eine Überschrift (#)",
    "hr": "eine Trennlinie (---)",
    "fence": "ein Codeblock (```)",
    "code_block": "ein eingerückter Codeblock",
    "blockquote": "ein Zitatblock (>)",
    "html_block": "HTML",
    "html_inline": "HTML",
    "image": "ein Bild",
    "table": "eine Tabelle",
    "s": "Durchstreichung (~~)",
}


@cache
def _everything() -> MarkdownIt:
    """All of Markdown that people are used to."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


@cache
def _unguarded() -> MarkdownIt:
    """The subset and images, every link target let through."""
    parser = MarkdownIt("zero").enable([*_SUBSET, "image"])
    parser.validateLink = bool  # type: ignore[method-assign,assignment]
    return parser


_TARGET = {"link": "href", "image": "src"}


def foreign(markdown: str) -> tuple[str, ...]:
    """What of Markdown the text uses beyond the subset, in German; it would show as typed."""
    types = {node.type for node in SyntaxTreeNode(_everything().parse(markdown)).walk()}
    return tuple(dict.fromkeys(name for type_, name in _FOREIGN.items() if type_ in types))


def refused(markdown: str) -> tuple[str, ...]:
    """Link targets in the text that `allowed` refuses, in order."""
    if "](" not in markdown and "<" not in markdown:
        return ()
    nodes = SyntaxTreeNode(_unguarded().parse(markdown)).walk(include_self=False)
    targets = [str(n.attrs[_TARGET[n.type]]) for n in nodes if n.type in _TARGET]
    return tuple(t for t in dict.fromkeys(targets) if not allowed(t))


# --- plain text -----------------------------------------------------------------


@lru_cache(maxsize=4096)
def plain_text(markdown: str) -> str:
    """The text of a Markdown body: marks gone, lists kept, link targets written out."""
    return _plain_blocks(parse(markdown)).strip()


def _plain_blocks(blocks: Iterable[Block]) -> str:
    text = ""
    for block in blocks:
        gap = "\n" if isinstance(block, Bullets) else "\n\n"  # a list belongs to what it follows
        text += (gap if text else "") + _plain_block(block)
    return text


def _plain_block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return _plain_inlines(block.children)
    lines = []
    for offset, item in enumerate(block.items):
        mark = "- " if block.start is None else f"{block.start + offset}. "
        lines.append(mark + _plain_blocks(item).replace("\n", "\n" + " " * len(mark)))
    return "\n".join(lines)


def _plain_inlines(inlines: Iterable[Inline]) -> str:
    return "".join(_plain_inline(i) for i in inlines)


def _plain_inline(inline: Inline) -> str:
    match inline:
        case Text(text) | Code(text):
            return text
        case Break():
            return "\n"
        case Link(url, children):
            label = _plain_inlines(children)
            target = url.removeprefix("mailto:")
            return target if label in {target, url} else f"{label} ({target})"
        case Strong(children) | Emphasis(children):
            return _plain_inlines(children)


# --- a whole reply --------------------------------------------------------------


def plain(reply: Reply) -> str:
    """The complete plain text of a reply, in the order of its fields."""
    head = "\n".join(filter(None, (reply.title, plain_text(reply.body))))
    tail = [*source_lines(reply.sources), *standing(reply), *option_lines(reply), reply.closing]
    foot = "\n".join(filter(None, tail))
    return "\n\n".join(filter(None, (reply.lead, head, foot)))


def citation(source: Source, *, dated: bool = False) -> str:
    """A source as staff would cite it, without its address."""
    text = source.title
    if source.page:
        text += f" ({source.page})"
    if source.version:
        text += ", Version " if source.version[0].isdigit() else ", "
        text += source.version
    if dated and source.date:
        text += f", Stand {german_date(source.date)}"
    return text


def source_lines(sources: tuple[Source, ...]) -> list[str]:
    """„Quelle: …“, or „Quellen:“ and a line each; dates only where they differ."""
    dated = len(_dates(sources)) > 1
    mark = "Quelle: " if len(sources) == 1 else "- "
    lines = ["Quellen:"] if len(sources) > 1 else []
    for source in sources:
        address = f" – {source.url}" if source.url else ""
        lines.append(mark + citation(source, dated=dated) + address)
        if source.quote:
            lines.append(proof(source))
    return lines


def proof(source: Source) -> str:
    """The literal proof in one line, in German quotation marks."""
    text = " ".join(plain_text(source.quote).split())
    return f"Beleg: {text}" if text.startswith("„") else f"Beleg: „{text}“"


def standing(reply: Reply) -> list[str]:
    """The common date of the sources, with the notice on ageing beside it, and the notices."""
    dates = _dates(reply.sources)
    if len(dates) != 1:
        return list(reply.notices)
    stand = f"Stand: {german_date(dates[0])}"
    if reply.notices and reply.notices[0].startswith("⚠"):
        return [f"{stand} · {reply.notices[0]}", *reply.notices[1:]]
    return [stand, *reply.notices]


def option_lines(reply: Reply) -> list[str]:
    """A question with its options below each other, or next steps in one line."""
    if not reply.options:
        return [reply.prompt] if reply.prompt else []
    if reply.outcome is Outcome.CHOICES:
        return list(
            filter(None, (reply.prompt, *(f"{o.number}. {o.title}" for o in reply.options)))
        )
    return [" ".join(filter(None, (reply.prompt, _in_one_line(reply.options))))]


def _in_one_line(options: tuple[Option, ...]) -> str:
    return " · ".join(f"{o.number} {o.title}" for o in options)


def _dates(sources: tuple[Source, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.date for s in sources if s.date))


@lru_cache(maxsize=1024)
def german_date(iso: str) -> str:
    """`2021-08-18` as `18.08.2021`; anything else as it is."""
    try:
        return date.fromisoformat(iso).strftime("%d.%m.%Y")
    except ValueError:
        return iso

"""A reply as Matrix content: pure.  The body is complete; the HTML is built from the parsed
Markdown tree alone, so only the tags named here can appear, and all text is escaped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote

from bot import markup
from bot.chat import Delivery, Message, Option, Outcome, Person, Purpose, Reply, Source

Content = dict[str, Any]

KEY = "de.ozg-lotse.key"  # in the relation, the part that stays clear text in encrypted rooms
MAX_BYTES = 40_000  # an event may have 65,536, and encryption adds a third
HANDOVER_HINT = (
    "Antworten Sie auf diese Nachricht, dann geht Ihr Text an die fragende Person zurück. "
    "Mit der Reaktion 📌 merken Sie die Frage für den Wissensbestand vor."
)
UNDECRYPTABLE = (
    "Ich kann Ihre Nachricht nicht entschlüsseln: Mir fehlt der Schlüssel dazu. Bitte stellen "
    "Sie die Frage noch einmal, notfalls nach einem Neustart Ihres Programms."
)
AWAY = (
    "Ich war länger nicht erreichbar und beantworte Fragen, die älter als {hours} Stunden sind, "
    "nicht mehr von selbst. Bitte stellen Sie sie noch einmal, falls sie noch offen sind."
)


def render(delivery: Delivery) -> Content:
    """The content of the event that brings `delivery`, as `m.notice`."""
    reply, message = delivery.reply, delivery.message
    body, html = markup.plain(reply), _html(reply)
    if delivery.purpose is Purpose.HANDOVER:
        body, html = f"{body}\n\n{HANDOVER_HINT}", f"{html}<p>{escape(HANDOVER_HINT)}</p>"
    room = MAX_BYTES // 2 if delivery.replaces else MAX_BYTES  # an edit holds the text twice
    content = _fitted({"msgtype": "m.notice", "body": body}, html, room)
    if delivery.replaces:
        return _edit(content, delivery.replaces)
    return content | {"m.mentions": _mentions(message, reply)} | _relation(message, delivery.key)


def notice(text: str, message: Message) -> Content:
    """A sentence of the adapter itself, related to `message`."""
    content: Content = {"msgtype": "m.notice", "body": text, "m.mentions": {}}
    return content | _relation(message)


def transaction(*parts: str) -> str:
    """A transaction id that is the same for the same parts, on every try."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _edit(content: Content, replaced: str) -> Content:
    """An edit mentions nobody again."""
    return content | {
        "body": f"* {content['body']}",
        "m.mentions": {},
        "m.new_content": content | {"m.mentions": {}},
        "m.relates_to": {"rel_type": "m.replace", "event_id": replaced},
    }


def _mentions(message: Message, reply: Reply) -> Content:
    """Exactly one person: who is shown something, else who asked.  `{}` keeps @room silent."""
    if reply.mention:
        return {"user_ids": [reply.mention.id]}
    asked_in_a_room = not message.direct and message.asker.startswith("@")
    return {"user_ids": [message.asker]} if asked_in_a_room else {}


def _relation(message: Message, key: str = "") -> Content:
    """A rich reply, in the question's thread if it has one.  What answers no event (a greeting,
    a question handed to the team) stands alone."""
    question = message.context.get("original") or message.id
    if not question.startswith("$"):
        return {}
    relation: Content = {"m.in_reply_to": {"event_id": question}}
    if key:
        relation[KEY] = key
    if message.conversation.thread:
        relation |= {
            "rel_type": "m.thread",
            "event_id": message.conversation.thread,
            "is_falling_back": False,
        }
    return {"m.relates_to": relation}


def _fitted(content: Content, html: str, room: int) -> Content:
    """With HTML if both fit into `room` bytes, else the body alone, at worst cut."""
    whole = content | {"format": "org.matrix.custom.html", "formatted_body": html}
    if _bytes(whole) <= room:
        return whole
    if _bytes(content) <= room:
        return content
    body = content["body"].encode()[: room // 2].decode(errors="ignore")
    return content | {"body": f"{body} … (gekürzt)"}


def _bytes(content: Mapping[str, Any]) -> int:
    return len(json.dumps(content, ensure_ascii=False).encode())


# --- HTML -----------------------------------------------------------------------


@lru_cache(maxsize=256)
def _html(reply: Reply) -> str:
    parts = [
        _lead(reply),
        f"<p><strong>{escape(reply.title)}</strong></p>" if reply.title else "",
        _blocks(markup.parse(reply.body)),
        _lines(_sources(reply.sources)),
        _lines(escape(line) for line in markup.standing(reply)),
        _options(reply),
        _lines([escape(reply.closing)] if reply.closing else []),
    ]
    return "".join(parts)


def _lead(reply: Reply) -> str:
    if not reply.lead:
        return ""
    text = escape(reply.lead)
    if reply.mention:
        text = text.replace(escape(reply.mention.name), _pill(reply.mention), 1)
    return f"<p>{text}</p>"


def _pill(person: Person) -> str:
    target = quote(person.id, safe="@:")
    return f'<a href="https://matrix.to/#/{target}">{escape(person.name)}</a>'


def _lines(lines: Iterable[str]) -> str:
    text = "<br>".join(lines)
    return f"<p>{text}</p>" if text else ""


def _sources(sources: tuple[Source, ...]) -> list[str]:
    dated = len({s.date for s in sources if s.date}) > 1
    mark = "Quelle: " if len(sources) == 1 else "– "
    lines = ["Quellen:"] if len(sources) > 1 else []
    for source in sources:
        text = escape(markup.citation(source, dated=dated))
        if source.url and markup.allowed(source.url):
            text = f'<a href="{escape(source.url)}">{text}</a>'
        lines.append(mark + text)
        if source.quote:
            lines.append(escape(markup.proof(source)))
    return lines


def _options(reply: Reply) -> str:
    """A question's options as a list; next steps in one line, as in the body."""
    if reply.outcome is not Outcome.CHOICES or not reply.options:
        return _lines(escape(line) for line in markup.option_lines(reply))
    counted, others = _counted(reply.options)
    items = "".join(f"<li>{escape(o.title)}</li>" for o in counted)
    start = f' start="{counted[0].number}"' if counted and counted[0].number != 1 else ""
    listed = f"<ol{start}>{items}</ol>" if items else ""
    rest = _lines(f"<strong>{o.number}</strong> {escape(o.title)}" for o in others)
    return _lines([escape(reply.prompt)] if reply.prompt else []) + listed + rest


def _counted(options: tuple[Option, ...]) -> tuple[tuple[Option, ...], tuple[Option, ...]]:
    """The options that an HTML list numbers by itself, and those it cannot ("0 nichts davon")."""
    first = options[0].number
    length = next(
        (i for i, o in enumerate(options) if o.number != first + i),
        len(options),
    )
    return options[:length], options[length:]


def _blocks(blocks: Iterable[markup.Block]) -> str:
    return "".join(_block(b) for b in blocks)


def _block(block: markup.Block) -> str:
    if isinstance(block, markup.Paragraph):
        return f"<p>{_inlines(block.children)}</p>"
    items = "".join(f"<li>{_item(item)}</li>" for item in block.items)
    if block.start is None:
        return f"<ul>{items}</ul>"
    start = "" if block.start == 1 else f' start="{block.start}"'
    return f"<ol{start}>{items}</ol>"


def _item(blocks: tuple[markup.Block, ...]) -> str:
    """A single paragraph in a list item needs no tags of its own."""
    if blocks and isinstance(blocks[0], markup.Paragraph):
        return _inlines(blocks[0].children) + _blocks(blocks[1:])
    return _blocks(blocks)


def _inlines(inlines: Iterable[markup.Inline]) -> str:
    return "".join(_inline(i) for i in inlines)


def _inline(inline: markup.Inline) -> str:
    match inline:
        case markup.Text(text):
            return escape(text)
        case markup.Code(text):
            return f"<code>{escape(text)}</code>"
        case markup.Break():
            return "<br>"
        case markup.Strong(children):
            return f"<strong>{_inlines(children)}</strong>"
        case markup.Emphasis(children):
            return f"<em>{_inlines(children)}</em>"
        case markup.Link(url, children):
            return f'<a href="{escape(url)}">{_inlines(children)}</a>'

"""Turns an entry into a `Reply`: text, sources, notices, numbered options, within the limits.

How something is shown is decided here; what to show is not.  Pure.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from bot.chat import Audience, Option, Outcome, Reply, Source
from bot.content.knowledge import Contact, Entry, Kind, KnowledgeBase, Reference, Series
from bot.markup import escape, plain

MAX_BODY = 900  # characters of a body; the rest comes with „mehr“
MAX_REPLY = 1_500  # characters of a whole reply, sources included
MAX_STEPS = 3
MAX_TITLE = 90  # characters of an option
OLD = timedelta(days=2 * 365)

# Entries that the bot itself leads to, where the knowledge has them.
CONTACT, USED_SOURCES, CONSULTATION = "kontakt", "quellen", "sprechstunde"
NO_COSTS, NO_DURATION = "luecke-kosten", "luecke-dauer"

# What a number can lead to besides an entry; ids never hold an "@".
TEAM, TEAM_CALLBACK = "@team", "@team-callback"
REASONS = {
    "@wrong": "wrong",
    "@outdated": "outdated",
    "@unclear": "unclear",
    "@off-topic": "off_topic",
}
BROWSE = "@browse:"  # and the place of a topic, and from which entry on


@dataclass(frozen=True, slots=True)
class View:
    """The knowledge as somebody sees it at a moment."""

    base: KnowledgeBase
    at: datetime
    audience: Audience = Audience.INTERNAL

    def entry(self, entry_id: str | None) -> Entry | None:
        """The entry, or None where there is none or it is not for these readers."""
        entry = self.base.entries.get(entry_id or "")
        hidden = self.audience is Audience.PUBLIC and entry and entry.audience is not self.audience
        return None if hidden else entry

    def say(self, key: str, **values: object) -> str:
        """The bot's text `key`, its `{names}` filled in; the key itself where it is missing."""
        text = self.base.texts.get(key, key)
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def series_of(self, entry_id: str) -> Series | None:
        return next((s for s in self.base.series if entry_id in s.entries), None)

    def title(self, target: str) -> str:
        """What stands beside the number that leads to `target`."""
        if entry := self.entry(target):
            return entry.title
        if target.startswith(BROWSE):
            place, start = browsed(target)
            known = place < len(self.base.topics)
            return self.base.topics[place].title if known and not start else self.say("browse_more")
        return self.say("option_" + target.removeprefix("@").replace("-", "_"))

    def known(self, targets: Iterable[str]) -> tuple[str, ...]:
        """The targets that exist for these readers, each once, in order."""
        there = (t for t in targets if t and (t.startswith("@") or self.entry(t)))
        return tuple(dict.fromkeys(there))


def browsed(target: str) -> tuple[int, int]:
    """Topic and first entry of a browsing target: `@browse:2:12` is (2, 12).

    What is no such target, as from a state of another version, is a place beyond all topics.
    """
    place, _, start = target.removeprefix(BROWSE).partition(":")
    if not (place.isdecimal() and start.isdecimal()):
        return sys.maxsize, 0
    return int(place), int(start)


# --- options --------------------------------------------------------------------


def options(view: View, targets: Sequence[str], *, none: bool = False) -> tuple[Option, ...]:
    """Numbered options from 1; with `none` also "0", nothing of it."""
    numbered = tuple(_option(view, n, target) for n, target in enumerate(targets, 1))
    return (*numbered, Option(0, view.say("option_none"))) if none else numbered


def _option(view: View, number: int, target: str) -> Option:
    title = shortened(view.title(target), MAX_TITLE)
    entry = view.entry(target)
    if entry is None:
        return Option(number, title)
    return Option(number, title, entry.id, _whole(view.base, entry.id, view.at.date()))


@lru_cache(maxsize=1024)
def _whole(base: KnowledgeBase, entry_id: str, day: date) -> str:
    """The plain reply that an option leads to; the same all day, so it is made once."""
    noon = datetime.combine(day, time(12))
    return plain(present(View(base, noon), base.entries[entry_id]))


def next_steps(view: View, entry: Entry) -> tuple[str, ...]:
    """Where one goes from an entry: the next of its series, then what its editor named."""
    series = view.series_of(entry.id)
    following = series.entries[series.entries.index(entry.id) + 1 :][:1] if series else ()
    links = entry.links
    named = (*entry.related, links.who, links.overview, links.cost, links.contact)
    steps = view.known(s for s in (*following, *named) if s)
    return tuple(s for s in steps if s != entry.id)[:MAX_STEPS]


def shown(view: View, entry: Entry, *, page: int = 0, lead: str = "") -> Reply:
    """The whole reply that shows an entry: with next steps or, for a gap, with offers."""
    frame = _frame(view, entry, lead)
    parts = pages(view, entry, frame)
    targets = offers(view, entry)
    gap = entry.kind is Kind.GAP
    return replace(
        frame,
        body=parts[min(page, len(parts) - 1)],
        prompt=view.say("nearest" if gap else "next") if targets else "",
        options=options(view, targets),
        closing=view.say("closing_more" if page + 1 < len(parts) else "closing"),
    )


def offers(view: View, entry: Entry) -> tuple[str, ...]:
    """What the numbers below an entry lead to."""
    steps = next_steps(view, entry)
    return (*steps[:2], TEAM, TEAM_CALLBACK) if entry.kind is Kind.GAP else steps


def together(view: View, entries: Sequence[Entry], *, lead: str = "") -> Reply:
    """Several entries in one reply, each shortened; the numbers lead to the whole of each.

    Shown is what the first source of each says: supplements come with the whole answer.
    """
    known = any(e.kind is Kind.ANSWER for e in entries)
    frame = Reply(
        outcome=Outcome.ANSWER if known else Outcome.UNKNOWN,
        body="",
        lead=lead,
        sources=tuple(dict.fromkeys(s for e in entries for s in sources(view, e)[:1])),
        notices=tuple(dict.fromkeys(n for e in entries for n in notices(view, e))),
        prompt=view.say("whole"),
        options=options(view, [e.id for e in entries]),
        entry=entries[0].id,
        rateable=True,
    )
    room = min(MAX_BODY, MAX_REPLY - ROOM_FOR_NOTICES - len(plain(frame)))
    parts: dict[str, str] = {}
    for place, entry in enumerate(sorted(entries, key=lambda e: len(e.answer))):
        share = max(room, 0) // (len(entries) - place)  # what a short answer leaves, others get
        parts[entry.id] = _part(view, entry, room=max(share, LEAST_PART))
        room -= len(parts[entry.id]) + 2
    return replace(frame, body="\n\n".join(parts[e.id] for e in entries))


ROOM_FOR_NOTICES = 60  # characters kept free for what is said beside several answers
SUPPLEMENT = re.compile(r"\n\n(?:\*\*)?Ergänzung")  # begins what other sources say
LEAST_PART = 150  # characters of one of several answers


def _part(view: View, entry: Entry, *, room: int) -> str:
    """Title, answer and contacts of an entry in about `room` characters."""
    contacts, title = contact_lines(view, entry), f"**{escape(entry.title)}**"
    stated = SUPPLEMENT.split(entry.answer, maxsplit=1)[0]
    answer, _ = cut(stated, max(room - len(contacts) - len(title), 80))
    return "\n\n".join(filter(None, (title, answer, contacts)))


def within_limits(reply: Reply) -> Reply:
    """The reply cut to the most that may be sent: first its text, then what stands beside it."""
    over = len(plain(reply)) - MAX_REPLY
    if over <= 0:
        return reply
    if len(reply.body) > 200:
        head, _ = cut(reply.body, max(100, len(reply.body) - over))
        if head != reply.body:
            return within_limits(replace(reply, body=head))
    if reply.closing:
        return within_limits(replace(reply, closing=""))
    if reply.notices:
        return within_limits(replace(reply, notices=reply.notices[:-1]))
    if reply.sources:
        return within_limits(replace(reply, sources=reply.sources[:-1]))
    if reply.options:
        return within_limits(replace(reply, options=reply.options[:-1]))
    return Reply(reply.outcome, cut(reply.body, MAX_REPLY - 2)[0], entry=reply.entry)


# --- an entry -------------------------------------------------------------------


def present(view: View, entry: Entry, *, page: int = 0, lead: str = "") -> Reply:
    """The reply that shows an entry, without options; `page` counts the parts of its text."""
    frame = _frame(view, entry, lead)
    parts = pages(view, entry, frame)
    return replace(frame, body=parts[min(page, len(parts) - 1)])


def page_count(view: View, entry: Entry) -> int:
    """How many parts the text of an entry has."""
    return len(pages(view, entry, _frame(view, entry, "")))


def _frame(view: View, entry: Entry, lead: str) -> Reply:
    """All of the reply but its text."""
    return Reply(
        outcome=Outcome.UNKNOWN if entry.kind is Kind.GAP else Outcome.ANSWER,
        body="",
        title=entry.title,
        lead=lead,
        sources=sources(view, entry),
        notices=notices(view, entry),
        entry=entry.id,
        rateable=True,
    )


def pages(view: View, entry: Entry, frame: Reply) -> tuple[str, ...]:
    """The answer, then the passage, in parts that fit into the frame."""
    contacts = contact_lines(view, entry)
    room = min(MAX_BODY, MAX_REPLY - ROOM_FOR_OPTIONS - len(plain(frame)))
    first = paragraphs(room - len(contacts), entry.answer)
    rest = paragraphs(room, entry.passage) if entry.passage else ()
    return ("\n\n".join(filter(None, (first[0], contacts))), *first[1:], *rest)


ROOM_FOR_OPTIONS = 330  # characters kept free for next steps and the closing line


def sources(view: View, entry: Entry, *, quoted: bool = False) -> tuple[Source, ...]:
    """Where the entry's statements stand; with `quoted` also the proof, literally."""
    found = (_source(view, r, quoted=quoted) for r in entry.sources)
    return tuple(dict.fromkeys(s for s in found if s))


def _source(view: View, reference: Reference, *, quoted: bool) -> Source | None:
    document = view.base.documents.get(reference.document)
    if document is None:
        return None
    slide = f", „{reference.slide}“" if reference.slide else ""
    return Source(
        title=document.title + slide,
        url=document.url or "",
        page=reference.page or "",
        date=document.date.isoformat() if document.date else "",
        version=document.version or "",
        quote=(reference.quote or "") if quoted else "",
    )


def notices(view: View, entry: Entry) -> tuple[str, ...]:
    """What must be said beside the answer: age, uncertainty, changed responsibilities."""
    documents = [view.base.documents.get(r.document) for r in entry.sources]
    known = [d for d in documents if d]
    said = []
    if any(d.date and view.at.date() - d.date > OLD for d in known):
        said.append(view.say("ageing"))
    if any(r.uncertain for r in entry.sources):
        said.append(view.say("uncertain"))
    if known and all(d.supplement for d in known):
        said.append(view.say("supplement"))
    said += [d.notice for d in known if d.notice]
    said += [c.notice for c in contacts_of(view, entry) if c.notice]
    return tuple(dict.fromkeys(said))


def contacts_of(view: View, entry: Entry) -> list[Contact]:
    """The contacts it names, and those whose mail address stands in its text."""
    text = f"{entry.answer} {entry.passage or ''}".lower()
    return [
        c
        for c in view.base.contacts.values()
        if c.id in entry.contacts or (c.email and c.email.lower() in text)
    ]


def contact_lines(view: View, entry: Entry) -> str:
    """A list of the contacts whose address does not already stand in the answer."""
    missing = [
        c
        for c in (view.base.contacts.get(i) for i in entry.contacts)
        if c and not (c.email and c.email in entry.answer)
    ]
    return "\n".join(_contact_line(c) for c in missing)


def _contact_line(contact: Contact) -> str:
    phone = f"Telefon {contact.phone}" if contact.phone else None
    ways = filter(None, (contact.email, phone, contact.address, contact.url))
    return f"- **{contact.name}:** {' · '.join(ways)}"


# --- cutting --------------------------------------------------------------------

_END = re.compile(r"\n\n|\n(?=\s*(?:[-*+]|\d+[.)])\s)|(?<=[^\W\d]{2}[.!?])\s+|(?<=[.!?][“”\")])\s+")


def cut(text: str, limit: int) -> tuple[str, str]:
    """Head of at most `limit` characters, ending with a sentence or list item, and the rest."""
    if len(text) <= limit:
        return text, ""
    ends = [m.start() for m in _END.finditer(text, 0, limit + 1) if m.start() <= limit]
    whole = [e for e in ends if text.count("**", 0, e) % 2 == 0 and text[:e].strip()]
    if whole:
        return text[: whole[-1]].rstrip(), text[whole[-1] :].strip("\n ")
    space = text.rfind(" ", 0, limit - 2)
    stop = space if space > limit // 2 else limit - 2
    return text[:stop].rstrip().replace("**", "") + " …", text[stop:].strip().replace("**", "")


def shortened(line: str, limit: int) -> str:
    """A line of at most `limit` characters, cut at a word."""
    if len(line) <= limit:
        return line
    return line[: limit - 2].rsplit(" ", 1)[0] + " …"


def paragraphs(limit: int, text: str) -> tuple[str, ...]:
    """The text in parts of at most `limit` characters."""
    parts = []
    while text:
        head, text = cut(text, max(limit, 100))
        parts.append(head)
    return tuple(parts)

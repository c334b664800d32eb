"""Follow-ups: what comes next, who does it, what it costs, where it stands, tell me more.

Answers come from the links of the entry, never guessed: where a link is missing, it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from bot.chat import Outcome, Reply
from bot.content.knowledge import Entry, Kind, Series
from bot.markup import escape, german_date, plain_text
from bot.talk.browsing import listed, overviews, which
from bot.talk.conversation import question_kept
from bot.talk.cues import Cue
from bot.talk.deciding import LEAST_CHOICE, decide, found_by
from bot.talk.members import named_in, numbers_of
from bot.talk.replies import (
    CONTACT,
    MAX_BODY,
    NO_COSTS,
    NO_DURATION,
    cut,
    next_steps,
    notices,
    offers,
    options,
    page_count,
    present,
    shown,
    sources,
    together,
)
from bot.talk.splitting import coordinated
from bot.talk.turn import Answered, Turn

LINKED = ("who", "cost", "duration", "contact", "advantages", "disadvantages")
"""Follow-ups that are a field of `Links`."""

BY_WORDS = {"cost": NO_COSTS, "duration": NO_DURATION, "contact": CONTACT}
"""What is the same for all entries is found without a link, by the words or here."""

NEED_TOPIC = ("next", "previous", "more", "why", "note", "again", "also", "elliptical")
"""Follow-ups that mean nothing without something that was answered."""


MAX_OWN = 2
"""With more words of its own a message is a question, even if it points back."""


def is_followup(kind: str) -> bool:
    return kind in _KINDS or kind in LINKED or kind in ("also", "elliptical")


def refers_back(turn: Turn, cue: Cue) -> bool:
    """Whether a message with this phrase follows up, or is a question of its own.

    A message that points back (das, diese) follows up, unless the words that are its own are
    what finds an entry; „dafür“ and the like stand for the thing itself and always do.
    """
    if cue.kind in ("also", "elliptical"):
        return _object_of(turn, cue) is not None
    if not cue.own:
        return True
    if len(cue.own) > MAX_OWN:
        return False
    if turn.cues.has("adverb", cue.rest) and "dass" not in cue.rest:
        return True
    if not turn.cues.has("reference", cue.rest) and cue.kind not in NEED_TOPIC:
        return False
    return not found_by(turn, cue.own)


def follow(turn: Turn, cue: Cue) -> Answered:
    """The reply to a follow-up; asks back where the thread has nothing that it could mean."""
    topic = turn.view.entry(turn.state.topic) or turn.view.entry(turn.state.shown)
    if topic is None:
        return which(turn, turn.text if len(turn.text) <= 60 else turn.say("this"))
    if cue.kind in ("also", "elliptical"):
        return _also(turn, topic, cue)
    if cue.kind in LINKED:
        return _linked(turn, topic, cue.kind)
    return _KINDS[cue.kind](turn, topic)


def beside(turn: Turn) -> Answered | None:
    """„Was kommt nach Phase 2?“: the neighbour of a member that the message itself names."""
    place = next((n for n, w in enumerate(turn.said) if turn.cues.has("beside", [w])), None)
    if place is None or turn.cues.own(turn.said[:place]):
        return None
    forward = not turn.cues.has("ahead", turn.said[place : place + 1])
    named = turn.said[place + 1 :]
    own = turn.cues.own(named)
    if not own or len([w for w in own if not w.isdecimal()]) > 1:
        return None
    entry = decide(turn, " ".join(named)).entry
    if entry is None or turn.view.series_of(entry.id) is None:
        return None
    there = replace(turn, state=replace(turn.state, topic=entry.id, shown=entry.id))
    return _step(there, entry, forward=forward)


OF_A_NAMED = ("who", "milestone", "source", "note")
"""Follow-ups that may name their member themselves: „Wer macht Phase 3?“"""


def of_named(turn: Turn) -> Answered | None:
    """A follow-up to the one member that the message names, where it says nothing else."""
    names = named_in(turn.view.base, turn.text)
    member = turn.view.entry(names[0]) if len(names) == 1 else None
    cue = turn.cue(OF_A_NAMED)
    if len(coordinated(turn.text)) > 1:  # „… und welche Rollen gibt es?“ is another question
        return None
    if member is None or cue is None or not all(w.isdecimal() for w in cue.own):
        return None
    state = replace(turn.state, topic=member.id, shown=member.id, question=question_kept(turn.text))
    return follow(replace(turn, state=state), cue)


# --- along a series -------------------------------------------------------------


def _step(turn: Turn, topic: Entry, *, forward: bool) -> Answered:
    series = turn.view.series_of(topic.id)
    if series is None:
        return _beside_a_series(turn, topic, forward=forward)
    order = [i for i in series.entries if turn.view.entry(i)]
    here = order.index(topic.id)
    there = here + 1 if forward else here - 1
    if not 0 <= there < len(order):
        return _end(turn, topic, series, forward=forward)
    open_order = [i for i in order if i in series.unordered]
    if order[there] in open_order and topic.id not in open_order:
        return _several(turn, series, open_order, forward=forward)
    entry = turn.view.base.entries[order[there]]
    lead = ""
    seen_alone = topic.id == turn.state.shown  # not together with its neighbour
    if topic.id in open_order and (seen_alone or entry.id in open_order):
        lead = series.unordered_note or ""
    elif forward and there == len(order) - 1:
        lead = turn.say("last_step", title=topic.title)
    return turn.show(entry, lead=lead)


def _first(turn: Turn, topic: Entry) -> Answered:
    """„Wie geht’s los?“: number one of the series that the topic belongs to or leads into."""
    ids = (topic.id, topic.links.overview)
    series = next((s for s in turn.view.base.series if topic.id in s.entries or s.id in ids), None)
    if series is None:
        return _missing(turn, topic)
    numbered = (i for i in series.entries if 1 in numbers_of(turn.view.base, i))
    first = turn.view.entry(next(numbered, series.entries[0]))
    return turn.show(first) if first else _missing(turn, topic)


def _beside_a_series(turn: Turn, topic: Entry, *, forward: bool) -> Answered:
    """An overview leads into its series; anything else has nothing before or after it."""
    series = next((s for s in turn.view.base.series if s.id == topic.id), None)
    first = turn.view.entry(series.entries[0]) if series else None
    if first and forward:
        return turn.show(first)
    targets = (*next_steps(turn.view, topic), *overviews(turn))
    return listed(turn, turn.say("no_series", title=topic.title), turn.view.known(targets)[:4])


def _end(turn: Turn, topic: Entry, series: Series, *, forward: bool) -> Answered:
    """The first or last of a series: what holds before or after it."""
    said = (series.after if forward else series.before) or ""
    key = "series_end" if forward else "series_start"
    body = turn.say(key, title=topic.title, series=series.title, said=said).strip()
    targets = tuple(s for s in next_steps(turn.view, topic) if s != topic.id)
    reply = Reply(
        Outcome.ANSWER,
        body,
        sources=sources(turn.view, topic),
        notices=notices(turn.view, topic),
        prompt=turn.say("next") if targets else "",
        options=options(turn.view, targets),
        entry=topic.id,
    )
    return reply, replace(turn.state, shown=topic.id, offers=targets, page=0, aspect="")


def _several(turn: Turn, series: Series, members: Sequence[str], *, forward: bool) -> Answered:
    """Neighbours whose order the source leaves open are shown together, and that is said."""
    entries = [turn.view.base.entries[i] for i in members]
    reply = together(turn.view, entries, lead=series.unordered_note or "")
    first, last = (members[0], members[-1]) if forward else (members[-1], members[0])
    offers = tuple(members)
    return reply, replace(turn.state, topic=last, shown=first, offers=offers, page=0, aspect="")


# --- along a link ---------------------------------------------------------------


def _linked(turn: Turn, topic: Entry, aspect: str) -> Answered:
    """The entry behind a link; without one what the words find by themselves."""
    target = turn.view.entry(linked(turn, topic, aspect))
    if target is None and aspect in BY_WORDS:
        target = decide(turn).entry or turn.view.entry(BY_WORDS[aspect])
    if target is None:
        return _missing(turn, topic)
    lead = ""
    if target.id == topic.id:
        lead = turn.say("says_itself")
    elif aspect == "who" and _shared_by_series(turn, topic, target):
        lead = turn.say("who_not_said", title=topic.title)
    return turn.show(target, lead=lead, aspect=aspect)


def linked(turn: Turn, topic: Entry, aspect: str) -> str | None:
    """Id behind a link of the entry or, from one side of it, of the entry it belongs to."""
    if found := getattr(topic.links, aspect):
        return str(found)
    whole = next((e for e in turn.view.base.entries.values() if _is_side(topic.id, e)), None)
    return getattr(whole.links, aspect) if whole else None


def _is_side(entry_id: str, whole: Entry) -> bool:
    return entry_id in (whole.links.advantages, whole.links.disadvantages)


def _shared_by_series(turn: Turn, topic: Entry, target: Entry) -> bool:
    """A link that all members of a series share says nothing about a single one."""
    series = turn.view.series_of(topic.id)
    members = [turn.view.base.entries.get(i) for i in series.entries] if series else []
    return bool(members) and all(m and m.links.who == target.id for m in members)


def _missing(turn: Turn, topic: Entry) -> Answered:
    return nearest(turn, topic, turn.say("no_link", title=topic.title))


def nearest(turn: Turn, topic: Entry, text: str) -> Answered:
    """Nothing to answer with: that is said, beside the next steps from the topic, which stays."""
    targets = next_steps(turn.view, topic)
    reply = Reply(
        Outcome.UNKNOWN,
        text,
        prompt=turn.say("nearest") if targets else "",
        options=options(turn.view, targets),
    )
    return reply, replace(turn.state, offers=targets)


def _milestone(turn: Turn, topic: Entry) -> Answered:
    if topic.milestone is None:
        target = turn.view.entry(topic.links.milestone)
        return turn.show(target, aspect="milestone") if target else _missing(turn, topic)
    targets = next_steps(turn.view, topic)
    reply = Reply(
        Outcome.ANSWER,
        turn.say("milestone", title=escape(topic.title), milestone=escape(topic.milestone)),
        sources=sources(turn.view, topic),
        notices=notices(turn.view, topic),
        prompt=turn.say("next") if targets else "",
        options=options(turn.view, targets),
        entry=topic.id,
        rateable=True,
    )
    return reply, replace(turn.state, shown=topic.id, offers=targets, aspect="milestone")


def _both_sides(turn: Turn, topic: Entry) -> Answered:
    ids = (linked(turn, topic, "advantages"), linked(turn, topic, "disadvantages"))
    sides = [turn.view.base.entries[i] for i in turn.view.known(i for i in ids if i)]
    if len(sides) < 2:
        return turn.show(sides[0], aspect="advantages") if sides else _missing(turn, topic)
    state = replace(turn.state, shown=sides[0].id, offers=tuple(s.id for s in sides), page=0)
    return together(turn.view, sides), state


def _object_of(turn: Turn, cue: Cue) -> str | None:
    """What „gilt das auch für …“ or „und bei …“ asks about; None where it is no such question."""
    place = next((n for n, w in enumerate(turn.said) if turn.cues.has("at", [w])), None)
    if place is None or not turn.cues.own(turn.said[place + 1 :]):
        return None
    before = [w for w in turn.said[:place] if w in cue.rest]
    if turn.cues.own(before):
        return None
    asks = turn.cues.has("question", cue.rest)
    asked = " ".join(turn.said[place + 1 :])
    topic = turn.view.entry(turn.state.topic)
    answered = _aspect(turn) or (topic and _also_said(turn, topic, asked))
    if cue.kind == "elliptical" and (asks or not answered):
        return None
    return asked


def _also_said(turn: Turn, topic: Entry, asked: str) -> Entry | None:
    """The entry on what else the topic holds for; a member of a series is asked for itself."""
    known = turn.view.entry(topic.links.also)
    other = decide(turn, asked).entry if known else None
    return known if other and not turn.view.series_of(other.id) else None


def _aspect(turn: Turn) -> str:
    """What was last asked of the topic, or which side of it is shown."""
    if turn.state.aspect:
        return turn.state.aspect
    shown_id = turn.state.shown
    for entry in turn.view.base.entries.values():
        if shown_id and shown_id == entry.links.advantages:
            return "advantages"
        if shown_id and shown_id == entry.links.disadvantages:
            return "disadvantages"
    return ""


def _also(turn: Turn, topic: Entry, cue: Cue) -> Answered:
    """The same of another entry: its own link, else that entry itself, and that is said."""
    asked = _object_of(turn, cue) or turn.text
    aspect = _aspect(turn)
    if known := _also_said(turn, topic, asked):
        return turn.show(known, aspect="also")
    entry = _with_aspect(turn, asked, aspect) or decide(turn, asked).entry
    if entry is None or entry.kind is Kind.GAP:
        return nearest(turn, topic, turn.say("also_unknown"))
    moved = replace(turn, state=replace(turn.state, topic=entry.id, shown=entry.id))
    if aspect in LINKED and linked(turn, entry, aspect):
        return _linked(moved, entry, aspect)
    if aspect == "milestone" and entry.milestone:
        return _milestone(moved, entry)
    return turn.show(entry, lead=turn.say("also", title=entry.title))


def _with_aspect(turn: Turn, asked: str, aspect: str) -> Entry | None:
    """The likeliest entry that has a link for the aspect."""
    if aspect not in LINKED:
        return None
    likely = (turn.view.entry(m.entry) for m in turn.match(asked) if m.score >= LEAST_CHOICE)
    return next((e for e in likely if e and linked(turn, e, aspect)), None)


# --- about the answer -----------------------------------------------------------


def _shown(turn: Turn, topic: Entry) -> Entry:
    """The entry that was shown last, to which source, note and more belong."""
    return turn.view.entry(turn.state.shown) or topic


def _source(turn: Turn, topic: Entry) -> Answered:
    entry = _shown(turn, topic)
    found = sources(turn.view, entry, quoted=True)
    if not found:
        return turn.chat("no_source", Outcome.UNKNOWN), turn.state
    quotes = dict.fromkeys(s.quote for s in found if s.quote)
    room = MAX_BODY // max(1, len(quotes)) - 20
    lines = [turn.say("proof", quote=cut(plain_text(q), room)[0]) for q in quotes]
    reply = Reply(
        Outcome.ANSWER,
        escape("\n\n".join(lines)) or turn.say("no_proof"),
        title=turn.say("source_title", title=entry.title),
        sources=tuple(replace(s, quote="") for s in found),
        notices=notices(turn.view, entry),
        closing=turn.say("source_closing"),
        entry=entry.id,
    )
    return reply, turn.state


def _more(turn: Turn, topic: Entry) -> Answered:
    entry = _shown(turn, topic)
    page = turn.state.page + 1
    if page < page_count(turn.view, entry):
        reply = shown(turn.view, entry, page=page)
        return reply, replace(turn.state, page=page, offers=offers(turn.view, entry))
    targets = next_steps(turn.view, entry)
    text = turn.say("no_more", title=entry.title)
    reply, state = listed(turn, text, targets)
    return replace(reply, outcome=Outcome.ANSWER, entry=entry.id), state


def _again(turn: Turn, topic: Entry) -> Answered:
    entry = _shown(turn, topic)
    reply = shown(turn.view, entry, page=turn.state.page)
    return reply, replace(turn.state, offers=offers(turn.view, entry))


def _why(turn: Turn, topic: Entry) -> Answered:
    """Which words led to the entry shown last, and how sure that is."""
    entry = _shown(turn, topic)
    best = next(iter(turn.match(turn.state.question)), None)
    found = turn.index.explain(turn.state.question, entry.id)
    if best is None or best.entry != entry.id or not found.words:
        return turn.chat("why_by_link", title=escape(entry.title)), turn.state
    words = "; ".join(
        turn.say("why_word", word=w.word, found=w.found, how=turn.say(f"how_{w.how}"))
        for w in found.words[:6]
    )
    unmatched = ", ".join(f"„{w}“" for w in found.unmatched[:6])
    body = turn.say(
        "why_found",
        question=cut(turn.state.question, 200)[0],
        title=entry.title,
        words=words,
        unmatched=turn.say("why_unmatched", words=unmatched) if unmatched else "",
        score=round(100 * best.score),
    )
    return Reply(Outcome.SMALLTALK, escape(body)), turn.state


def _note(turn: Turn, topic: Entry) -> Answered:
    """A block to put on file: text, proof, source, date of retrieval, state of the knowledge."""
    entry = _shown(turn, topic)
    shown_part = present(turn.view, entry)
    quotes = [plain_text(s.quote) for s in sources(turn.view, entry, quoted=True) if s.quote]
    body = cut(entry.answer, MAX_BODY - 300)[0]
    if quotes:
        body += "\n\n" + escape(turn.say("proof", quote=cut(quotes[0], 260)[0]))
    checked = entry.care.checked.isoformat() if entry.care else ""
    state_of = turn.say("note_checked", date=german_date(checked)) if checked else ""
    reply = replace(
        shown_part,
        outcome=Outcome.ANSWER,
        body=body,
        title=turn.say("note_title", title=entry.title),
        closing=turn.say(
            "note_closing",
            today=german_date(turn.view.at.date().isoformat()),
            revision=turn.view.base.revision or "–",
            checked=state_of,
        ).strip(),
        rateable=False,
    )
    return reply, turn.state


_KINDS: dict[str, Callable[[Turn, Entry], Answered]] = {
    "next": partial(_step, forward=True),
    "previous": partial(_step, forward=False),
    "first": _first,
    "milestone": _milestone,
    "both_sides": _both_sides,
    "source": _source,
    "more": _more,
    "again": _again,
    "why": _why,
    "note": _note,
}

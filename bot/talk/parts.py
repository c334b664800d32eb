"""Which questions a message holds, and what each of them means.  Pure.

A message is one question unless its parts mean different things.  A sentence without content
of its own belongs to the one before it; a statement only says what a question is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.content.knowledge import Entry, Kind
from bot.search.matching import LONG as READ_WHOLE
from bot.talk.cues import Cue
from bot.talk.deciding import Decision, decide
from bot.talk.followups import BY_WORDS, LINKED, is_followup, linked
from bot.talk.members import SURE, named_in
from bot.talk.splitting import (
    LONG,
    Sentence,
    alternatives,
    coordinated,
    sentences,
    without_preface,
)
from bot.talk.turn import Turn

MAX_READ = 8
"""Questions of a message that are looked up, the longest first."""

SURE_WITHOUT_PREFACE = 0.8
"""Confidence that a question needs without its preface („Mein Chef will wissen, …“)."""

STEPS = ("next", "previous")
FOLLOWED = (*LINKED, *STEPS, "source")
"""Follow-ups that may stand together in one message: each leads to an entry."""

MAX_BEFORE = 3
"""Statements before a follow-up that may say what it is about."""

UNMISTAKABLE = 0.9
"""Confidence that a sentence needs which asks nothing."""

BETWEEN = "between:"
"""Prefix of cues that ask how several members relate; the gap with the id that follows."""

MAX_NAME = 2  # words of a bare name
SURE_NAME = 0.5  # confidence that a bare name beside another one needs
LIKELY = 0.5  # confidence that the only question of a longer message needs by itself
UNSURE = 0.8  # below this confidence two words may be two names


@dataclass(frozen=True, slots=True)
class Part:
    """One of several questions, with what it means."""

    text: str
    decision: Decision
    follows: str = ""  # the kind of follow-up that it is on what was said before

    @property
    def moves(self) -> bool:
        """Whether it changes the topic, not only answers an aspect of it."""
        return self.follows in ("", *STEPS)


def parts_of(turn: Turn) -> list[Part]:
    """The questions of the message, at least one."""
    return _members(turn) or _either(turn) or _asked(turn, turn.view.entry(turn.state.topic))


def _asked(turn: Turn, topic: Entry | None) -> list[Part]:
    read = sentences(turn.text, turn.cues)
    if len(read) > 1 or len(turn.text) > LONG:
        return _parts(turn, _attached(turn, read))
    return _halves(turn, turn.text, topic if several_followups(turn) else None)


def several_followups(turn: Turn) -> bool:
    """„Wer macht das und was kostet es?“: follow-ups of different kinds and nothing else."""
    pieces = [p for s in sentences(turn.text, turn.cues) for p in coordinated(s.text)][:MAX_READ]
    cues = [_followup(turn.saying(piece)) for piece in pieces]
    return all(c and c.kind in FOLLOWED for c in cues) and len({c.kind for c in cues if c}) > 1


def _followup(alone: Turn) -> Cue | None:
    """The follow-up that a sentence is, where it says nothing else."""
    return next((c for c in alone.found if is_followup(c.kind) and not c.own), None)


def _members(turn: Turn) -> list[Part]:
    """„Phase 2 und Phase 3“: a part for each of several members named in one sentence.

    What the source says of no member („Was kosten …?“) or not of their relation is one part,
    the gap.
    """
    if len(turn.text) > LONG or turn.text.count("?") > 1 or len(coordinated(turn.text)) > 1:
        return []
    known = [e for i in named_in(turn.view.base, turn.text) if (e := turn.view.entry(i))]
    if len(known) < 2:
        return []
    whole = _said_of_all(turn) or decide(turn).entry
    if whole and whole.kind is Kind.GAP:
        return [Part(turn.text, Decision(whole, score=SURE))]
    return [Part(e.title, Decision(e, score=1.0)) for e in known]


def _said_of_all(turn: Turn) -> Entry | None:
    """What is asked of members as such: their costs, whether one may begin before another ends."""
    kind = next(
        (c.kind for c in turn.found if c.kind in BY_WORDS or c.kind.startswith(BETWEEN)), ""
    )
    return turn.view.entry(BY_WORDS.get(kind, kind.removeprefix(BETWEEN)))


def _either(turn: Turn) -> list[Part]:
    """„EfA oder FIM?“, or „EfA FIM?“: bare names of different entries are a choice of them."""
    said, names = alternatives(turn.text)
    if not all(_is_bare(turn, name) for name in names) or not (said or _leaves_words(turn)):
        return []
    meant = [decide(turn, name) for name in names]
    ids = [d.entry.id for d in meant if d.entry and d.entry.kind is Kind.ANSWER]
    if len(set(ids)) < max(2, len(names)) or min(d.score for d in meant) < SURE_NAME:
        return []
    return [Part(turn.text, Decision(choices=turn.view.known(ids), score=SURE))]


def _is_bare(turn: Turn, name: str) -> bool:
    said = turn.cues.tokens(name)
    asks = turn.cues.has("question", said) or any(w.isdecimal() for w in said)
    return 0 < len(said) <= MAX_NAME and not asks


def _leaves_words(turn: Turn) -> bool:
    """Whether what is found for the whole message does not hold all of its words."""
    found = decide(turn)
    if found.entry is None or found.score >= UNSURE:
        return False
    return bool(turn.index.explain(turn.text, found.entry.id).unmatched)


def _attached(turn: Turn, read: Sequence[Sentence]) -> list[Sentence]:
    """The sentences, those that ask nothing by themselves put to the one before them.

    „Im Vertrag steht EfA. Was ist das?“ is one question; „Können Sie mir helfen?“ after a
    question, or a first „Ich brauche eine Auskunft.“, adds nothing.
    """
    kept: list[Sentence] = []
    for sentence in read:
        if not _is_frame(turn, sentence.text):
            kept.append(sentence)
        elif kept and sentence.asks and not kept[-1].asks:
            kept[-1] = Sentence(f"{kept[-1].text} {sentence.text}", asks=True)
    return kept or list(read)


def _is_frame(turn: Turn, sentence: str) -> bool:
    """Whether a sentence has no content and is no follow-up: „Wie heißt diese Rolle?“"""
    alone = turn.saying(sentence)
    own = _content(alone)
    if len(own) > 1 or (_followup(alone) and not alone.cue(["identity"])):
        return False
    return not own or (_points_back(alone) and decide(turn, sentence).score < UNSURE)


def _content(alone: Turn) -> list[str]:
    return [w for w in alone.cues.own(alone.said) if not alone.cues.has("frame", [w])]


def _points_back(alone: Turn) -> bool:
    """Whether a sentence says „darin“, „dieser Begriff“ or „das“, not only as an article."""
    cues = alone.cues
    articles = {
        place
        for place, (word, noun) in enumerate(pairwise(alone.said))
        if cues.has("article", [word]) and cues.own([noun])
    }
    said = [word for place, word in enumerate(alone.said) if place not in articles]
    return cues.has("adverb", said) or cues.has("reference", said)


def _parts(turn: Turn, read: Sequence[Sentence]) -> list[Part]:
    """The questions of a longer message; statements only say what they are about."""
    asking = sorted((s for s in read if s.asks), key=lambda s: -len(s.text))[:MAX_READ]
    if not asking:
        return [_without_question(turn, [s.text for s in read[:MAX_READ]])]
    parts: list[Part] = []
    about = turn.view.entry(turn.state.topic)
    said: list[str] = []  # statements since the last question
    for sentence in read:
        if sentence not in asking:
            said.append(sentence.text)
            continue
        found = _halves(turn, sentence.text, about, said[-MAX_BEFORE:])
        parts += found
        about = next(
            (p.decision.entry for p in reversed(found) if p.decision.entry and p.moves), about
        )
        said = []
    if len(parts) == 1 and not parts[0].follows:
        whole, alone = decide(turn), parts[0].decision.score
        # In a mail, what the question is about may stand before it.
        in_mail = len(turn.said) > READ_WHOLE and alone < LIKELY
        if whole.score > alone or in_mail:
            return [Part(turn.text, whole)]
    answered = [p for p in parts if p.decision.entry]
    if not answered or len(turn.text) > LONG:
        parts = answered or [max(parts, key=lambda p: p.decision.score)]
    return _distinct(parts)


def _without_question(turn: Turn, texts: Sequence[str]) -> Part:
    """What statements are about: the whole message, or one that says it much more clearly."""
    whole = Part(turn.text, decide(turn))
    best = max((Part(t, decide(turn, t)) for t in texts), key=lambda p: p.decision.score)
    clear = len(turn.text) > LONG or best.decision.score >= UNMISTAKABLE
    return best if clear and best.decision.score > whole.decision.score else whole


def _halves(
    turn: Turn, sentence: str, about: Entry | None = None, said: Sequence[str] = ()
) -> list[Part]:
    """A sentence with „und“ as its questions, where each of them means something else."""
    pieces = coordinated(sentence)[:MAX_READ]
    whole = _part(turn, sentence, about, said)
    if len(pieces) < 2 or not all(_asks_something(turn.saying(piece)) for piece in pieces):
        return [whole]
    parts: list[Part] = []
    for piece in pieces:
        part = _part(turn, piece, about, said if not parts else ())
        about = part.decision.entry if part.decision.entry and part.moves else about
        parts.append(part)
    if all(p.follows for p in parts):
        return _distinct(parts)
    sure = [p for p in parts if not _is_doubtful_gap(p)]
    if whole.decision.entry in [p.decision.entry for p in sure if p.decision.entry]:
        parts = sure  # the whole is answered: half of it is no reason to say that it is not
    understood = [p for p in parts if p.decision.entry]
    if not understood or len(_distinct(parts)) < 2:
        return [whole]
    surest = max(p.decision.score for p in understood)
    better = whole.decision.entry and whole.decision.score >= surest
    return [whole] if better and len(understood) < len(parts) else parts


def _is_doubtful_gap(part: Part) -> bool:
    entry = part.decision.entry
    return bool(entry and entry.kind is Kind.GAP and part.decision.score < UNSURE)


def _asks_something(alone: Turn) -> bool:
    """Whether half a sentence has content or is a follow-up: „… und weshalb ist das so?“ is not."""
    return bool(_content(alone) or _followup(alone))


def _part(turn: Turn, text: str, about: Entry | None, said: Sequence[str]) -> Part:
    """A question by its own words or, without any, as a follow-up to what was said before."""
    if cue := _followup(turn.saying(text)):
        stated = (decide(turn, statement).entry for statement in reversed(said))
        subject = next((entry for entry in stated if entry), about)
        if subject and (entry := _followed(turn, subject, cue)):
            return Part(text, Decision(entry, score=1.0), cue.kind)
    decision = decide(turn, text)
    if not decision.entry and (asked := without_preface(text)) != text:
        inner = decide(turn, asked)
        if inner.score >= SURE_WITHOUT_PREFACE:
            return Part(text, inner)
    return Part(text, decision)


def _followed(turn: Turn, about: Entry, cue: Cue) -> Entry | None:
    """Where a follow-up leads from an entry, as far as it leads to one entry."""
    if cue.kind in LINKED:
        return turn.view.entry(linked(turn, about, cue.kind))
    if cue.kind == "source":  # stands below the entry itself
        return about
    series = turn.view.series_of(about.id)
    if series is None or cue.kind not in STEPS:
        return None
    place = series.entries.index(about.id) + (1 if cue.kind == "next" else -1)
    return turn.view.entry(series.entries[place]) if 0 <= place < len(series.entries) else None


def _distinct(parts: Sequence[Part]) -> list[Part]:
    """Parts that lead to different entries, and those that lead nowhere."""
    kept: dict[str, Part] = {}
    for part in parts:
        key = part.decision.entry.id if part.decision.entry else part.text
        kept.setdefault(key, part)
    return list(kept.values())

"""Answers what is asked: one question, several in one message, the one in a long mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.chat import Outcome, Reply, Unanswered
from bot.conversation import question_kept
from bot.cues import Cue
from bot.deciding import Decision, decide
from bot.followups import BY_WORDS, LINKED, is_followup, linked, nearest
from bot.knowledge import Entry, Kind
from bot.members import SURE, named_in
from bot.replies import CONTACT, TEAM, TEAM_CALLBACK, options, shortened, together
from bot.splitting import LONG, Sentence, coordinated, sentences, without_preface
from bot.turn import Answered, Turn

MAX_PARTS = 3
UNMISTAKABLE = 0.9  # confidence that a message needs which hardly has content of its own
TITLE_WORDS = 3  # so many words of a title, however common, name the entry
MAX_READ = 8
"""Questions of a message that are looked up, the longest first."""

SURE_WITHOUT_PREFACE = 0.8
"""Confidence that a question needs without its preface („Mein Chef will wissen, …“)."""

STEPS = ("next", "previous")
FOLLOWED = (*LINKED, *STEPS, "source")
"""Follow-ups that may stand together in one message: each leads to an entry."""

OF_TOPIC = 0.6
"""Confidence that a message needs which is read together with the title of the topic."""

MAX_BEFORE = 3
"""Statements before a follow-up that may say what it is about."""


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


def ask(turn: Turn) -> Answered:
    """The reply to a message that is one or several questions of its own."""
    topic = turn.view.entry(turn.state.topic)
    parts = _members(turn) or _asked(turn, topic)
    if len(parts) > 1:
        return _several(turn, parts)
    part = parts[0]
    unsure = part.decision.score < UNMISTAKABLE and not _says_title(turn, part.decision.entry)
    if topic and unsure and _only_points_back(turn):
        return _of_topic(turn, topic)
    return reply_to(turn, part.decision, part.text)


def _asked(turn: Turn, topic: Entry | None) -> list[Part]:
    """The questions of the message, at least one."""
    read = sentences(turn.text, turn.cues)
    if len(read) > 1 or len(turn.text) > LONG:
        return _parts(turn, attached(turn, read))
    return _halves(turn, turn.text, topic if several_followups(turn) else None)


def several_followups(turn: Turn) -> bool:
    """„Wer macht das und was kostet es?“: follow-ups of different kinds and nothing else."""
    pieces = [p for s in sentences(turn.text, turn.cues) for p in coordinated(s.text)][:MAX_READ]
    cues = [_followup(turn.saying(piece)) for piece in pieces]
    return all(c and c.kind in FOLLOWED for c in cues) and len({c.kind for c in cues if c}) > 1


def _followup(alone: Turn) -> Cue | None:
    """The follow-up that a sentence is, where it says nothing else."""
    return next((c for c in alone.found if is_followup(c.kind) and not c.own), None)


def _only_points_back(turn: Turn) -> bool:
    """Whether hardly a word says anything without what was said before."""
    own = turn.cues.own(turn.said)
    return not own or (len(own) == 1 and turn.cues.has("adverb", turn.said))


def _says_title(turn: Turn, entry: Entry | None) -> bool:
    """Whether the message is words of the title, which may all be common („Einer für Alle“)."""
    title = turn.cues.tokens(entry.title) if entry else []
    return len(turn.said) >= TITLE_WORDS and set(turn.said) <= set(title)


def _of_topic(turn: Turn, topic: Entry) -> Answered:
    """A message without content of its own that no phrase explains: „Für welches Modell?“

    Together with the title of the topic it may ask for something else that is known.
    """
    question = question_kept(turn.text)
    read = decide(turn, f"{topic.title} {turn.text}")
    if read.entry and read.entry.id != topic.id and read.score >= OF_TOPIC:
        return reply_to(turn, read, turn.text)
    reply, state = nearest(turn, topic, turn.say("points_nowhere", title=topic.title))
    event = Unanswered(question, (topic.id,))
    return replace(reply, events=(event,)), replace(state, question=question)


def reply_to(turn: Turn, decision: Decision, text: str) -> Answered:
    """Show the entry, let choose, or decline."""
    question = question_kept(text)
    if decision.entry:
        reply, state = turn.show(decision.entry, question=question)
        if decision.entry.kind is Kind.GAP:
            reply = replace(reply, events=(Unanswered(question, (decision.entry.id,)),))
        return reply, state
    if decision.choices:
        reply = Reply(
            Outcome.CHOICES,
            turn.say("choose"),
            options=options(turn.view, decision.choices, none=True),
        )
        return reply, replace(turn.state, question=question, offers=decision.choices)
    return _declined(turn, decision, question)


def _declined(turn: Turn, decision: Decision, question: str) -> Answered:
    """Nothing to answer with: what is nearest and whom to ask; the topic stays."""
    event = Unanswered(question, decision.near)
    state = replace(turn.state, question=question)
    if not decision.near:
        reply = replace(turn.chat("off_field", Outcome.UNKNOWN), events=(event,))
        return reply, replace(state, offers=())
    near = turn.view.known((*decision.near, CONTACT))
    targets = (*near, TEAM, TEAM_CALLBACK)
    reply = Reply(
        Outcome.UNKNOWN,
        turn.say("decline"),
        prompt=turn.say("nearest"),
        options=options(turn.view, targets),
        events=(event,),
    )
    return reply, replace(state, offers=targets)


# --- several questions ----------------------------------------------------------


def _members(turn: Turn) -> list[Part]:
    """„Phase 2 und Phase 3“: a part for each of several members named in one sentence.

    What the source says of no member („Was kosten …?“) is one part, the gap.
    """
    if len(turn.text) > LONG or turn.text.count("?") > 1 or len(coordinated(turn.text)) > 1:
        return []
    known = [e for i in named_in(turn.view.base, turn.text) if (e := turn.view.entry(i))]
    if len(known) < 2:
        return []
    cue = turn.cue(BY_WORDS)
    same = turn.view.entry(BY_WORDS[cue.kind]) if cue else None
    whole = same or decide(turn).entry
    if whole and whole.kind is Kind.GAP:
        return [Part(turn.text, Decision(whole, score=SURE))]
    return [Part(e.title, Decision(e, score=1.0)) for e in known]


def attached(turn: Turn, read: Sequence[Sentence]) -> list[Sentence]:
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
    own = [w for w in alone.cues.own(alone.said) if not alone.cues.has("frame", [w])]
    back = alone.cues.has("reference", alone.said) or alone.cues.has("adverb", alone.said)
    if len(own) > (1 if back else 0):
        return False
    return _followup(alone) is None or alone.cue(["identity"]) is not None


def _parts(turn: Turn, read: Sequence[Sentence]) -> list[Part]:
    """The questions of a longer message; statements only say what they are about."""
    asking = sorted((s for s in read if s.asks), key=lambda s: -len(s.text))[:MAX_READ]
    if not asking:
        alone = read[:MAX_READ] if len(turn.text) > LONG else ()
        return [_surest(turn, (turn.text, *(s.text for s in alone)))]
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
    whole = decide(turn)
    if whole.score > max(p.decision.score for p in parts) and len(parts) == 1:
        return [Part(turn.text, whole)]
    answered = [p for p in parts if p.decision.entry]
    if not answered or len(turn.text) > LONG:
        parts = answered or [max(parts, key=lambda p: p.decision.score)]
    return _distinct(parts)


def _surest(turn: Turn, texts: Sequence[str]) -> Part:
    return max((Part(t, decide(turn, t)) for t in texts), key=lambda p: p.decision.score)


def _halves(
    turn: Turn, sentence: str, about: Entry | None = None, said: Sequence[str] = ()
) -> list[Part]:
    """A sentence with „und“ as its questions, where each of them means something else."""
    pieces = coordinated(sentence)[:MAX_READ]
    whole = _part(turn, sentence, about, said)
    if len(pieces) < 2:
        return [whole]
    parts: list[Part] = []
    for piece in pieces:
        part = _part(turn, piece, about, said if not parts else ())
        about = part.decision.entry if part.decision.entry and part.moves else about
        parts.append(part)
    if all(p.follows for p in parts):
        return _distinct(parts)
    understood = [p for p in parts if p.decision.entry]
    if len(_distinct(parts)) < 2 or (len(understood) < len(parts) and whole.decision.entry):
        return [whole]
    return parts if understood else [whole]


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


def _several(turn: Turn, parts: Sequence[Part]) -> Answered:
    """Short answers to at most three questions; what else was asked is named."""
    first, others = parts[:MAX_PARTS], parts[MAX_PARTS:]
    entries = [p.decision.entry for p in first if p.decision.entry]
    unknown = [p for p in first if not p.decision.entry]
    if not entries:
        best = max(parts, key=lambda p: p.decision.score)
        return reply_to(turn, best.decision, best.text)
    said = [turn.say("part_unknown", question=shortened(p.text, 80)) for p in unknown]
    if others:
        named = ", ".join(f"„{shortened(p.text, 60)}“" for p in others[:3])
        said.append(turn.say("parts_left", questions=named))
    reply = together(turn.view, entries)
    gaps = [(p.text, p.decision.entry) for p in first if p.decision.entry]
    events = (
        *(Unanswered(question_kept(t), (e.id,)) for t, e in gaps if e.kind is Kind.GAP),
        *(Unanswered(question_kept(p.text), p.decision.near) for p in unknown),
    )
    reply = replace(reply, notices=(*said, *reply.notices), events=events)
    own = [p.decision.entry for p in first if p.decision.entry and p.moves]
    answered = [e.id for e in own if e.kind is Kind.ANSWER]
    topic = answered[-1] if answered else turn.state.topic
    state = replace(
        turn.state,
        topic=topic,
        shown=entries[0].id,
        question=question_kept(turn.text),
        offers=tuple(e.id for e in entries),
        page=0,
        aspect="",
    )
    return reply, state

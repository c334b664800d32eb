"""Asks a base its own questions: what `lotse check` finds out by matching and answering.

Like the checks of `bot.content.checks`, but they need an edition, so they run on a sound base only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

from bot.chat import Conversation, Message, Reply
from bot.content.checks import Finding, Subject, check, subject_of
from bot.content.knowledge import Level, Problem, load, shown
from bot.markup import plain_text
from bot.search.library import Edition, edition_of
from bot.talk.answering import State, answer
from bot.talk.replies import View, present

Probe = Callable[[Subject, Edition], Iterator[Finding]]


def own_questions_hit(subject: Subject, edition: Edition) -> Iterator[Finding]:
    """Each question of an entry finds the entry before all others."""
    for place, name, question in subject.questions:
        if name not in edition.base.entries or edition.index.literal(question) == name:
            continue  # what stands in one entry alone is certain to find it
        best = edition.index.match(question)[:1]
        if not best or best[0].entry != name:
            found = f"gefunden wird „{best[0].entry}“" if best else "gefunden wird nichts"
            yield Finding(place, f"„{question}“ führt nicht zu „{name}“, {found}.")


def own_tests_pass(subject: Subject, edition: Edition) -> Iterator[Finding]:
    """The editor's test questions: hits are answered with the entry, misses are not."""
    for place, entry in subject.entries:
        if entry.id not in edition.base.entries:
            continue
        for number, question in enumerate(entry.tests.hits):
            if (reply := _asked(question, subject.today, edition)).entry != entry.id:
                here = place / "tests" / "hits" / number
                text = f"„{question}“ → {_led_to(reply)} statt „{entry.id}“."
                yield Finding(here, f"{text} {_scores(question, entry.id, edition)}")
        for number, question in enumerate(entry.tests.misses):
            if _asked(question, subject.today, edition).entry == entry.id:
                here = place / "tests" / "misses" / number
                yield Finding(here, f"„{question}“ führt hierher, soll es aber nicht.")


def answers_fit(subject: Subject, edition: Edition) -> Iterator[Finding]:
    """The answer is shown uncut beside its sources, notices and contacts."""
    view = View(edition.base, _noon(subject.today))
    for place, entry in subject.entries:
        if entry.id not in edition.base.entries:
            continue
        shown = plain_text(present(view, entry).body)
        if not shown.startswith(plain_text(entry.answer)):
            text = "Mit Quellen und Hinweisen ist die Antwort zu lang und wird gekürzt."
            yield Finding(place / "answer", text)


PROBES: tuple[Probe, ...] = (own_questions_hit, own_tests_pass, answers_fit)


def examine(path: Path, today: date, folder: Path) -> tuple[Problem, ...]:
    """Everything that is wrong at `path`, at once and sorted by place.

    `path` is a knowledge folder, or a part of `folder`, or a single file; a part is looked at
    within its folder, because its references lead into other files.
    """
    whole = folder if path.resolve().is_relative_to(folder.resolve()) else path
    whole = whole if whole.is_dir() else whole.parent
    within = shown(path)
    return tuple(
        problem
        for problem in _problems(whole, today)
        if path.resolve() == whole.resolve() or Path(problem.path).is_relative_to(within)
    )


def _problems(folder: Path, today: date) -> tuple[Problem, ...]:
    loaded = load(folder)
    problems = check(loaded, today)
    if loaded.base is None or any(p.level is Level.ERROR for p in problems):
        return problems
    subject, edition = subject_of(loaded, today), edition_of(loaded.base)
    found = (f.problem(Level.WARNING) for probe in PROBES for f in probe(subject, edition))
    return tuple(sorted({*problems, *found}))


def _asked(question: str, today: date, edition: Edition) -> Reply:
    conversation = Conversation("terminal", "", "check")
    message = Message(conversation, "1", "check", question, _noon(today))
    return answer(message, State.from_json(None), edition)[0]


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def _led_to(reply: Reply) -> str:
    if reply.entry:
        return f"„{reply.entry}“"
    offered = [f"„{o.entry}“" for o in reply.options if o.entry]
    return f"Auswahl aus {', '.join(offered)}" if offered else "keine Antwort"


def _scores(question: str, wanted: str, edition: Edition) -> str:
    scores = {m.entry: m.score for m in edition.index.match(question)}
    if wanted not in scores:
        return "Es ist nicht unter den besten fünf."
    listed = ", ".join(f"{name} {score:.2f}".replace(".", ",") for name, score in scores.items())
    return f"Werte: {listed}."

"""Replies that no question asked for: the limit, handing over, the team's answer.  Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bot.chat import Outcome, Reply
from bot.content.knowledge import KnowledgeBase
from bot.markup import escape, german_date
from bot.search.library import Edition

if TYPE_CHECKING:  # `lotse chat` has these words without a store
    from bot.serve.journal import Removed


def too_many(edition: Edition) -> Reply:
    return Reply(Outcome.SMALLTALK, _say(edition, "too_many"))


def out_of_order(edition: Edition) -> Reply:
    """An answer or a reason, always: the core failed at this question."""
    return Reply(Outcome.UNKNOWN, _say(edition, "out_of_order"))


def hand_over(edition: Edition, question: str, *, callback: bool) -> Reply:
    """The question as the team's room shows it; the asker's words are never formatted."""
    how = "handed_over_callback" if callback else "handed_over_anonymous"
    return Reply(
        Outcome.SMALLTALK, _say(edition, how), lead=f"{_say(edition, 'handed_over')} „{question}“"
    )


def team_answer(edition: Edition, question: str, text: str) -> Reply:
    """The team's words in the asker's thread, marked as theirs."""
    return Reply(
        Outcome.ANSWER,
        escape(text),
        title=_say(edition, "team_answer"),
        lead=f"{_say(edition, 'team_answer_to')} „{question}“",
    )


def with_removed(reply: Reply, removed: Removed, edition: Edition) -> Reply:
    """The answer to "meine daten löschen", now that it is known what was there."""
    said = _say(edition, "removed").format(
        questions=removed.questions, ratings=removed.ratings, items=removed.items
    )
    return replace(reply, notices=(*reply.notices, said))


def knowledge_in_force(base: KnowledgeBase) -> str:
    """One line on the knowledge: how much, in which state, when it was last checked."""
    checked = [entry.care.checked for entry in base.entries.values() if entry.care]
    last = f", zuletzt geprüft am {german_date(max(checked).isoformat())}" if checked else ""
    return f"Wissensstand {base.revision}: {len(base.entries)} Einträge{last}"


def _say(edition: Edition, name: str) -> str:
    return edition.base.texts[name]

"""One turn of a conversation: what was said, what the thread remembers, what is known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from bot.chat import Message, Outcome, Reply
from bot.content.knowledge import Entry, Kind
from bot.search.matching import Index, Match
from bot.talk.conversation import State
from bot.talk.cues import Cue, Cues
from bot.talk.privacy import without_masks
from bot.talk.replies import View, offers, shown

MAX_MATCHES = 10
"""More than are shown: what is named may stand further down."""

Answered = tuple[Reply, State]


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything that an answer is computed from."""

    message: Message
    text: str  # one space between words, personal data masked
    state: State
    view: View
    index: Index
    cues: Cues
    said: tuple[str, ...]  # the folded words of the text
    found: tuple[Cue, ...]  # the phrases in it, the most telling first
    looked_up: dict[str, list[Match]] = field(default_factory=dict)
    """What was matched in this turn, so that no text is matched twice."""

    def say(self, key: str, **values: object) -> str:
        return self.view.say(key, **values)

    def saying(self, text: str) -> Turn:
        """The same turn as if only a part of the text had been said."""
        said = self.cues.tokens(without_masks(text))
        return replace(self, text=text, said=tuple(said), found=tuple(self.cues.find(said)))

    def cue(self, kinds: Collection[str]) -> Cue | None:
        """The most telling phrase of these kinds."""
        return next((c for c in self.found if c.kind in kinds), None)

    def match(self, text: str | None = None) -> list[Match]:
        """What the words mean, best first, as far as these readers may see it."""
        asked = without_masks(self.text if text is None else text)
        if asked not in self.looked_up:
            self.looked_up[asked] = self.index.match(asked, limit=MAX_MATCHES)
        return [m for m in self.looked_up[asked] if self.view.entry(m.entry)]

    def chat(self, key: str, outcome: Outcome = Outcome.SMALLTALK, **values: object) -> Reply:
        """A reply that is one of the bot's own texts."""
        return Reply(outcome, self.say(key, **values))

    def show(self, entry: Entry, *, lead: str = "", aspect: str = "", **changes: Any) -> Answered:
        """Show an entry.  It becomes the topic, unless it only answers an aspect of one."""
        keeps_topic = aspect or entry.kind is Kind.GAP
        state = replace(
            self.state,
            topic=self.state.topic if keeps_topic else entry.id,
            shown=entry.id,
            offers=offers(self.view, entry),
            page=0,
            aspect=aspect,
        )
        return shown(self.view, entry, lead=lead), replace(state, **changes)

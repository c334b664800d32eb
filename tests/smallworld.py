"""A small knowledge base to converse about, and a hand-written index that finds by plain words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from bot.chat import Conversation, Message, Person, Reply
from bot.content.knowledge import KnowledgeFile, assemble
from bot.content.yamltext import read
from bot.search.language import is_stopword, words
from bot.search.library import Edition, edition_of
from bot.search.matching import Explanation, Match, WordMatch
from bot.talk.answering import State, answer

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

KNOWLEDGE = """
topic: Kleine Welt
documents:
- id: alt
  title: Alte Folien
  date: 2021-08-18
  version: Leitfaden 1.2
- id: neu
  title: Neues Blatt
  date: 2026-01-05
  url: https://example.org/blatt
contacts:
- id: amt
  name: OZG-Team
  email: ozg@example.org
  phone: +49 391 000 000
  notice: Die Zuständigkeit hat sich geändert.
series:
- id: bauphasen
  title: Bauphasen
  entries: [keller, wand, dach]
  before: Davor ist die Wiese.
  after: Danach wird gefeiert.
- id: antragsschritte
  title: Antragsschritte
  entries: [anmelden, ausfuellen, unterschreiben, absenden]
  unordered: [ausfuellen, unterschreiben]
  unordered_note: Die Reihenfolge dieser beiden ist offen.
entries:
- id: bauphasen
  title: Bauphasen im Überblick
  answer: Keller, Wand, Dach.
  questions: [Welche Bauphasen gibt es?]
- id: antragsschritte
  title: Antragsschritte im Überblick
  answer: Anmelden bis Absenden.
  questions: [Welche Antragsschritte gibt es?]
- id: keller
  title: Phase 1 – Keller
  answer: Der Keller wird gegraben.
  passage: Im Langtext steht, wie tief der Keller wird.
  questions: [Was passiert im Keller?, Phase 1]
  milestone: Grube fertig
  links: {who: handwerk, cost: luecke-kosten, contact: kontakt}
  related: [modell-alpha]
  sources: [{document: alt, slide: Keller, page: S. 3, quote: Keller graben.}]
- id: wand
  title: Phase 2 – Wand
  answer: Die Wand wird gemauert.
  questions: [Was passiert mit der Wand?, Phase 2]
  milestone: Wand steht
  links: {who: handwerk, cost: luecke-kosten}
  sources: [{document: alt, slide: Wand, quote: Wand mauern.}]
- id: dach
  title: Phase 3 – Dach
  answer: Das Dach wird gedeckt.
  questions: [Was passiert auf dem Dach?, Phase 3]
  links: {who: handwerk}
  sources: [{document: neu}]
- id: anmelden
  title: Schritt Anmelden
  answer: Schreiben Sie an ozg@example.org.
  questions: [Wie anmelden?]
- id: ausfuellen
  title: Schritt Ausfüllen
  answer: Das Formular ausfüllen.
  questions: [Formular ausfüllen?]
- id: unterschreiben
  title: Schritt Unterschreiben
  answer: Den Vertrag unterschreiben.
  questions: [Vertrag unterschreiben?]
- id: absenden
  title: Schritt Absenden
  answer: Den Brief absenden.
  questions: [Brief absenden?]
- id: handwerk
  title: Die Gewerke
  answer: Maurer und Dachdecker.
  questions: [Welche Gewerke gibt es?]
- id: modell-alpha
  title: Modell Alpha
  answer: Fertighaus.
  questions: [Was ist Modell Alpha?]
  links: {advantages: modell-a-plus, disadvantages: modell-a-minus}
- id: modell-a-plus
  title: Vorteile von Modell Alpha
  answer: Es geht rasch.
  questions: [Vorteile von Modell Alpha]
- id: modell-a-minus
  title: Nachteile von Modell Alpha
  answer: Es zieht.
  questions: [Nachteile von Modell Alpha]
- id: luecke-kosten
  title: Kosten – keine Angabe
  kind: luecke
  answer: Das sagt die Quelle nicht.
  questions: [Was kostet der Bau in Euro?]
- id: kontakt
  title: Kontakt
  answer: Hier erreichen Sie uns.
  questions: [Wer ist der Kontakt?]
  contacts: [amt]
- id: geheim
  title: Schlüsselkasten
  answer: Unter der Matte.
  questions: [Wo ist der Schlüsselkasten?]
  audience: intern
"""


class WordIndex:
    """Finds by the share of content words that question and phrasing have in common."""

    def __init__(self, phrasings: dict[str, list[frozenset[str]]]) -> None:
        self._phrasings = phrasings

    def match(self, question: str, limit: int = 5) -> list[Match]:
        said = _content(question)
        scored = [
            Match(entry, max(2 * len(said & p) / (len(said) + len(p) or 1) for p in phrasings))
            for entry, phrasings in self._phrasings.items()
        ]
        return sorted((m for m in scored if m.score), key=lambda m: (-m.score, m.entry))[:limit]

    def explain(self, question: str, entry: str) -> Explanation:
        said = _content(question)
        known = frozenset().union(*self._phrasings[entry])
        found = tuple(WordMatch(w, w, "exact") for w in sorted(said & known))
        return Explanation(entry, found, tuple(sorted(said - known)))


def _content(text: str) -> frozenset[str]:
    return frozenset(w for w in words(text) if not is_stopword(w) or w.isdigit())


@cache
def edition() -> Edition:
    content = KnowledgeFile.model_validate(read(KNOWLEDGE).data)
    base = edition_of(assemble([content], revision="abc123")).base
    phrasings = {
        e.id: [_content(p) for p in (e.title, *e.questions)] for e in base.entries.values()
    }
    return Edition(base, WordIndex(phrasings))  # type: ignore[arg-type]


class Talk:
    """One thread, asked message by message; `minutes` pass before each."""

    def __init__(self, *, asker: str = "someone", direct: bool = False) -> None:
        self.state = State()
        self.now = NOON
        self.asker = asker
        self.direct = direct
        self.count = 0

    def say(self, text: str, *, minutes: float = 1, **fields: object) -> Reply:
        self.now += timedelta(minutes=minutes)
        self.count += 1
        message = Message(
            conversation=Conversation("test", "", "room", "thread"),
            id=str(self.count),
            asker=str(fields.pop("asker", self.asker)),
            text=text,
            at=self.now,
            direct=self.direct,
            **fields,  # type: ignore[arg-type]
        )
        reply, self.state = answer(message, self.state, edition())
        return reply

    def says(self, *texts: str) -> Reply:
        """The reply to the last of several messages."""
        return [self.say(text) for text in texts][-1]


ADA = Person("U1", "Ada")

"""Why an entry was found, in plain German, for `lotse ask --explain`."""

from __future__ import annotations

from bot.content.knowledge import KnowledgeBase
from bot.search.library import Edition
from bot.search.matching import Explanation, Match
from bot.talk import answering

_HOW = {
    "exact": "wörtlich",
    "stem": "gleicher Wortstamm",
    "typo": "Tippfehler",
    "compound": "Teil einer Zusammensetzung",
    "abbreviation": "Abkürzung",
    "synonym": "gleichbedeutend",
}


def explain(question: str, edition: Edition) -> str:
    """Several lines: words and how each was found, the score, the runners-up."""
    matches = edition.index.match(question)
    if not matches:
        return "Zu keinem Wort der Frage gibt es einen Eintrag."
    best = matches[0]
    return "\n".join(
        [
            f"Bester Eintrag: {_named(best, edition.base)}",
            *_words(edition.index.explain(question, best.entry)),
            f"Schwellen: Antwort ab {_number(answering.ANSWER)}, "
            f"Rückfrage ab {_number(answering.CHOICE)}",
            "Danach:" if matches[1:] else "Danach: kein weiterer Eintrag",
            *(f"  {_named(match, edition.base)}" for match in matches[1:]),
        ]
    )


def _words(explanation: Explanation) -> list[str]:
    lines = [f"  „{w.word}“ ← „{w.found}“ ({_HOW.get(w.how, w.how)})" for w in explanation.words]
    unmatched = ", ".join(f"„{word}“" for word in explanation.unmatched)
    return ["Gefundene Wörter:", *lines, f"Ohne Treffer: {unmatched or 'keins'}"]


def _named(match: Match, base: KnowledgeBase) -> str:
    return f"{match.entry} „{base.entries[match.entry].title}“, Wert {_number(match.score)}"


def _number(score: float) -> str:
    return f"{score:.2f}".replace(".", ",")

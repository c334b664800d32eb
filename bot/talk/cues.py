"""Recognises the phrases of `cues.yaml` in what somebody wrote.  Pure.

A phrase is found where all its words occur, in any order, inflected or with a typing error;
what else the message says decides whether it is a follow-up or a question of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from rapidfuzz import process
from rapidfuzz.distance import OSA

from bot.content.knowledge import KnowledgeBase, Language
from bot.search.language import allowed_edits, frequencies, is_stopword, spoken, stem, words

MAX_WORDS = 30
"""Longer messages are questions; no phrase is looked for in them."""

COMMONPLACE = 5.9
"""Zipf frequency from which a word (sagt, Zeit, Leute) says nothing of what is asked."""

SHORTEST_MISTYPED = 5
"""Shorter words that are not known may be an abbreviation („Vort.“) rather than one mistyped."""

_CLASSES = (
    "filler",
    "pointer",
    "reference",
    "adverb",
    "question",
    "asking",
    "english",
    "choice",
    "at",
    "show",
    "weak",
    "frame",
    "article",
    "beside",
    "ahead",
)
_POLITE = ("greeting", "thanks")
_INFLECTED, _MISTYPED = 0.9, 0.8  # what a word counts beside an exact one


@dataclass(frozen=True, slots=True)
class Cue:
    """A phrase that was found; `rest` are the other words, `own` those with content."""

    kind: str
    phrase: frozenset[str]
    weight: float
    rest: tuple[str, ...]
    own: tuple[str, ...]


class Cues:
    """The phrases and word classes of one language; immutable once built."""

    def __init__(self, cues: Mapping[str, tuple[str, ...]], language: Language) -> None:
        self._language = language
        self._classes = {c: _words(cues.get(c, ()), language) for c in _CLASSES}
        polite = [p for kind in _POLITE for p in cues.get(kind, ())]
        self._polite = self._classes["filler"] | _words(polite, language)
        classes = (self._classes[c] for c in ("pointer", "question", "weak"))
        self._empty = self._polite.union(*classes)
        self._order = {kind: place for place, kind in enumerate(cues)}
        self._phrases = [
            (kind, frozenset(tokens(phrase, language)))
            for kind, phrases in cues.items()
            if kind not in _CLASSES
            for written in phrases
            for phrase in _alternatives(written)
        ]
        common = Counter(word for _, phrase in self._phrases for word in phrase)
        self._by_key: dict[str, list[tuple[str, frozenset[str]]]] = {}
        for kind, phrase in self._phrases:  # under the word that the fewest phrases have
            rarest = min(phrase, key=lambda w: (common[w], w))
            self._by_key.setdefault(rarest, []).append((kind, phrase))
        self._of_kind: dict[str, set[str]] = {}
        for kind, phrase in self._phrases:
            self._of_kind.setdefault(kind, set()).update(phrase)
        known = self._empty.union(*(p for _, p in self._phrases))
        self._vocabulary = sorted(known)
        self._known = frozenset(known)
        self._by_stem: dict[str, list[str]] = {}
        for word in self._vocabulary:
            self._by_stem.setdefault(stem(word, language), []).append(word)
        self._by_sound: dict[str, list[str]] = {}
        for word in self._vocabulary if language == "de" else ():
            self._by_sound.setdefault(spoken(word), []).append(word)

    def tokens(self, text: str) -> list[str]:
        return tokens(text, self._language)

    def find(self, said: Sequence[str]) -> list[Cue]:
        """The best phrase of each kind, first the one that explains most of what was said."""
        if not said or len(said) > MAX_WORDS:
            return []
        meant = [self._meant(word) for word in said]
        found: dict[str, float] = {}
        for options in meant:
            for word, quality in options.items():
                found[word] = max(quality, found.get(word, 0.0))
        best: dict[str, Cue] = {}
        for kind, phrase in (p for word in found for p in self._by_key.get(word, ())):
            if not phrase <= found.keys():
                continue
            weight = sum(len(w) * found[w] for w in phrase)
            if kind in best and best[kind].weight >= weight:
                continue
            rest = [
                w for w, options in zip(said, meant, strict=True) if not options.keys() & phrase
            ]
            own = [w for w in self.own(rest) if not self._meant(w).keys() & self._of_kind[kind]]
            best[kind] = Cue(kind, phrase, weight, tuple(rest), tuple(own))
        return sorted(best.values(), key=lambda c: (len(c.own), -c.weight, self._order[c.kind]))

    def own(self, said: Iterable[str]) -> list[str]:
        """The words that carry content of their own."""
        return [w for w in said if not self._is_empty(w)]

    def is_polite(self, said: Iterable[str]) -> bool:
        """Whether the words are nothing but fillers, greeting and thanks."""
        return all(w in self._polite or self._meant(w).keys() & self._polite for w in said)

    def has(self, word_class: str, said: Iterable[str]) -> bool:
        return any(w in self._classes[word_class] for w in said)

    def only(self, word_class: str, said: Iterable[str]) -> bool:
        return all(w in self._classes[word_class] for w in said)

    def is_english(self, said: Sequence[str]) -> bool:
        """Whether a text is English rather than German, by its small words."""
        english = [w for w in said if w in self._classes["english"]]
        german = [w for w in said if is_stopword(w, "de") and w not in self._classes["english"]]
        return len(set(english)) > len(set(german)) + (len(said) > 2)

    def _is_empty(self, word: str) -> bool:
        if word in self._empty or is_stopword(word, self._language):
            return True
        if frequencies(self._language).get(word, 0.0) >= COMMONPLACE:
            return True
        if len(word) < SHORTEST_MISTYPED and stem(word, self._language) not in self._by_stem:
            return False
        return bool(self._meant(word).keys() & self._empty)

    def _meant(self, word: str) -> dict[str, float]:
        """The known words that this one stands for, with how sure that is."""
        forms = dict.fromkeys(self._by_stem.get(stem(word, self._language), ()), _INFLECTED)
        if word in self._known:
            return {**forms, word: 1.0}
        if forms:
            return forms
        edits = allowed_edits(len(word))
        if not edits or word.isdigit() or word in frequencies(self._language):
            return {}
        if heard := self._by_sound.get(spoken(word)):
            return dict.fromkeys(heard, _MISTYPED)
        near = process.extract(
            word, self._vocabulary, scorer=OSA.distance, score_cutoff=edits, limit=4
        )
        return {w: _MISTYPED for w, distance, _ in near if distance == near[0][1]}


@lru_cache(maxsize=8)
def cues_of(base: KnowledgeBase) -> Cues:
    """The cues of a knowledge base, built once."""
    return Cues(base.cues, base.language)


def tokens(text: str, language: Language) -> list[str]:
    """The words of a text; a text of signs only (👍, ?) is its first sign."""
    return words(text, language) or list(text.strip()[:1])


def _alternatives(phrase: str) -> list[str]:
    """„zahlt EfA/FIM“ is two phrases, „zahlt EfA“ and „zahlt FIM“."""
    return [" ".join(chosen) for chosen in product(*(word.split("/") for word in phrase.split()))]


def _words(phrases: Iterable[str], language: Language) -> frozenset[str]:
    return frozenset(w for phrase in phrases for w in tokens(phrase, language))

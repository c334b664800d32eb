"""Finds the entries that a question means.  Pure: no clock, file or network.

Three kinds of evidence: how similar the question is to the phrasings of an entry, what kernel
ridge regression learned from all phrasings, and how much of the question the entry covers.
`bot.search.confidence` turns the evidence into probabilities.  Of a long text its questions count.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bot.content.knowledge import Kind, KnowledgeBase
from bot.search.confidence import Evidence, Overall, confidence
from bot.search.language import MAX_CHARACTERS, sentences, stem, words
from bot.search.learning import Learned, learned
from bot.search.vectors import STOPWORD, Encoded, Encoder, Floats, Found

POOL, POOL_OF_GAPS = 8, 3  # entries that are looked at closely
FEW, MANY, VOTERS = 3, 10, 15  # most similar phrasings: of an entry, and of all that vote
LONG = 16  # words; longer questions are also read sentence by sentence
SENTENCE = 3  # words; shorter sentences are no question
CONTENT = 3  # words beside stopwords; a sentence with fewer is read with the one before it
MOST_SENTENCES = 8  # of a long text are looked at by themselves
STOPWORD_COVERAGE = 0.1

CERTAIN = 0.99  # at least, for a question that stands literally in one entry
MAX_LITERAL = 400  # characters; no written question is longer


@dataclass(frozen=True, slots=True)
class Match:
    entry: str
    score: float  # probability that this entry is right, 0 to 1


@dataclass(frozen=True, slots=True)
class WordMatch:
    """How one word of the question was found."""

    word: str
    found: str  # the stem in the entry
    how: str  # exact, typo, compound, abbreviation, synonym


@dataclass(frozen=True, slots=True)
class Explanation:
    entry: str
    words: tuple[WordMatch, ...]
    unmatched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One text that may be the question, and every entry's similarity to it."""

    found: Sequence[tuple[Found, float]]  # words and how telling each is
    stems: frozenset[str]
    known: float  # squared length of its vector: the share that the base knows
    by_words: Floats  # by phrasing: the part of its similarity that lies in words and pairs
    by_grams: Floats  # by phrasing: the part that lies in character n-grams
    strength: Floats  # by entry: what was learned, else the density of similar phrasings
    length: int  # words


class Index:
    """The searchable form of one knowledge base; immutable once built."""

    def __init__(self, base: KnowledgeBase, known: Learned | None = None) -> None:
        """`known` is what was worked out of the same base before."""
        self.learned = known or learned(base)
        self._language = base.language
        self._ids = sorted(base.entries)
        entries = [base.entries[i] for i in self._ids]
        self._gaps = np.array([e.kind is Kind.GAP for e in entries], np.bool_)
        self._encoder = Encoder(self.learned.lexicon, base.language, base.synonyms)
        self._starts = np.searchsorted(self.learned.owners, np.arange(len(entries) + 1))
        self._terms = [frozenset(terms.tolist()) for terms in self.learned.terms]
        self._telling = self._how_telling()
        self._unwanted = [[self._stems(phrase) for phrase in e.not_for] for e in entries]
        self._rarest = math.log1p(len(entries))

    def match(self, question: str, limit: int = 5) -> list[Match]:
        """The best entries, best first; ties in the order of their ids."""
        if not self._ids:
            return []
        scores = self._scores(question)
        literal = self.literal(question)
        if literal:
            scores[literal] = max(CERTAIN, *scores.values())
        best = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0] != literal, pair[0]))
        return [Match(entry, score) for entry, score in best[:limit]]

    def literal(self, question: str) -> str | None:
        """The one entry that has the question, word for word, as a title or a question."""
        owner = self.learned.literal.get(" ".join(words(question[:MAX_LITERAL], self._language)))
        return None if owner is None else self._ids[owner]

    def evidence(self, text: str) -> tuple[list[str], list[Evidence], Overall]:
        """The entries that were looked at closely, what speaks for each, and for an answer."""
        return self._evidence_of(self._encoder.encode(text[:MAX_CHARACTERS]))

    def unlearned(self) -> Index:
        """The same index as a base too large to learn from has it."""
        index = copy.copy(self)
        index.learned = replace(index.learned, lesson=None)
        return index

    def explain(self, question: str, entry: str) -> Explanation:
        """Which words of the question were found in the entry, and how."""
        terms = self._terms[self._ids.index(entry)]
        encoded = self._encoder.encode(question)
        matched: list[WordMatch] = []
        for found in encoded.found:
            there = [r for r in found.relations if r.term in terms]
            if there:
                best = max(there, key=lambda r: r.similarity)
                term = self._encoder.vocabulary.terms[best.term]
                matched.append(WordMatch(found.word, term, best.how))
        seen = {word for match in matched for word in match.word.split()}
        return Explanation(entry, tuple(matched), tuple(w for w in encoded.words if w not in seen))

    # --- reading the question ---------------------------------------------------

    def _scores(self, question: str) -> dict[str, float]:
        """The probability of each likely entry: the mean of what the ways to read it say."""
        ways = [self._best_scores(way) for way in self._ways_to_read(question)]
        return {
            entry: sum(way.get(entry, 0.0) for way in ways) / len(ways)
            for entry in dict.fromkeys(itertools.chain(*ways))
        }

    def _ways_to_read(self, question: str) -> list[list[Encoded]]:
        """The text; of a long one its questions, by themselves and with the sentence before."""
        question = question[:MAX_CHARACTERS]
        whole = self._encoder.encode(question)
        if len(whole.words) <= LONG:
            return [[whole]]
        told = sentences(question, self._language)
        asked = [i for i, sentence in enumerate(told) if "?" in sentence] or range(len(told))
        alone = [self._sentence(told, i) for i in asked[:MOST_SENTENCES]]
        alone = [sentence for sentence in alone if len(sentence.words) >= SENTENCE]
        together = [self._encoder.encode(_led_up_to(told, i)) for i in asked[:MOST_SENTENCES]]
        return [alone, together] if alone else [together]

    def _best_scores(self, texts: Iterable[Encoded]) -> dict[str, float]:
        """By entry its probability in the text that fits it best."""
        known = {"learned": self.learned.lesson is not None, "gaps": bool(self._gaps.any())}
        best: dict[str, float] = defaultdict(float)
        for text in texts:
            pool, evidence, overall = self._evidence_of(text)
            for entry, score in zip(pool, confidence(evidence, overall, **known), strict=True):
                best[entry] = max(best[entry], score)
        return best

    def _evidence_of(self, text: Encoded) -> tuple[list[str], list[Evidence], Overall]:
        reading = self._reading(text)
        pool = self._pool(reading)
        votes = self._votes(pool, reading)
        evidence = [self._evidence(*one, reading) for one in zip(pool, votes, strict=True)]
        return [self._ids[owner] for owner in pool], evidence, self._overall(reading)

    def _sentence(self, parts: Sequence[str], place: int) -> Encoded:
        """A sentence of a text; with the one before, where it says little („Wer ist das?“)."""
        alone = self._encoder.encode(parts[place])
        content = sum(one.single and one.weight != STOPWORD for one in alone.found)
        if place and content < CONTENT:
            return self._encoder.encode(_led_up_to(parts, place))
        return alone

    def _reading(self, text: Encoded) -> _Reading:
        by_words, by_grams = (
            self.learned.postings.similarities(block, len(self.learned.owners))
            for block in text.vector.blocks
        )
        similarity = by_words + by_grams
        if self.learned.lesson:
            strength = self.learned.lesson.apply(similarity)
        else:
            density = np.bincount(self.learned.owners, similarity * similarity, len(self._ids))
            strength = density.astype(np.float32)
        return _Reading(
            found=[(found, self._tellingness(found)) for found in text.found],
            stems=frozenset(text.stems),
            known=float(text.vector.weights @ text.vector.weights),
            by_words=by_words,
            by_grams=by_grams,
            strength=strength,
            length=len(text.words),
        )

    def _pool(self, reading: _Reading) -> list[int]:
        """The likeliest entries, then the likeliest gaps."""
        order = np.argsort(-reading.strength, kind="stable")
        gaps = self._gaps[order]
        likely: list[int] = order[~gaps][:POOL].tolist()
        likely += order[gaps][:POOL_OF_GAPS].tolist()
        return likely

    def _votes(self, pool: Sequence[int], reading: _Reading) -> Floats:
        """By entry of the pool its share of the most similar phrasings, the nearer the more."""
        spans = [self._span(owner) for owner in pool]
        near = np.concatenate([reading.by_words[s] + reading.by_grams[s] for s in spans])
        voters = np.argsort(-near, kind="stable")[:VOTERS]
        places = np.repeat(np.arange(len(pool)), [s.stop - s.start for s in spans])
        votes = np.bincount(places[voters], near[voters] ** 2, len(pool)).astype(np.float32)
        return votes / max(float(votes.sum()), 1e-9)

    def _evidence(self, owner: int, votes: float, reading: _Reading) -> Evidence:
        span = self._span(owner)
        by_words, by_grams = reading.by_words[span], reading.by_grams[span]
        nearest = np.sort(by_words + by_grams)[::-1][:MANY]
        return Evidence(
            gap=bool(self._gaps[owner]),
            phrasings=span.stop - span.start,
            strength=float(reading.strength[owner]),
            nearest=float(nearest[0]),
            few=float(nearest[:FEW].mean()),
            many=float(nearest.mean()),
            by_words=float(by_words.max()),
            by_grams=float(by_grams.max()),
            votes=float(votes),
            coverage=self._coverage(owner, reading.found),
            unwanted=any(said <= reading.stems for said in self._unwanted[owner]),
        )

    def _overall(self, reading: _Reading) -> Overall:
        gaps, answers = reading.strength[self._gaps], reading.strength[~self._gaps]
        return Overall(
            phrasings=len(self.learned.owners) / max(1, len(self._ids)),
            known=reading.known,
            length=reading.length,
            gaps=float(gaps.sum()),
            answers=float(answers.sum()),
            likely_gaps=float(np.maximum(gaps, 0).sum()),
            likely_answers=float(np.maximum(answers, 0).sum()),
        )

    def _span(self, owner: int) -> slice:
        """The phrasings of an entry."""
        return slice(int(self._starts[owner]), int(self._starts[owner + 1]))

    def _coverage(self, owner: int, found: Sequence[tuple[Found, float]]) -> float:
        """The share of the question that the entry's words cover, by how telling they are."""
        terms = self._terms[owner]
        covered: dict[str, float] = {}
        total = 0.0
        for one, weight in found:
            near = max((r.similarity for r in one.relations if r.term in terms), default=0.0)
            for word in one.parts:
                covered[word] = max(covered.get(word, 0.0), near)
            total += weight if one.single else 0.0
        got = sum(weight * covered[one.word] for one, weight in found if one.single)
        return got / total if total else 0.0

    # --- building ---------------------------------------------------------------

    def _stems(self, text: str) -> frozenset[str]:
        return frozenset(stem(word, self._language) for word in words(text, self._language))

    def _how_telling(self) -> dict[int, float]:
        """The rarer among the entries, the more a term says."""
        spread = Counter(term for terms in self._terms for term in terms)
        return {term: math.log1p(len(self._ids) / count) for term, count in spread.items()}

    def _tellingness(self, found: Found) -> float:
        scale = STOPWORD_COVERAGE if found.weight == STOPWORD else found.weight
        if found.relations:
            return scale * max(self._telling[r.term] * r.similarity for r in found.relations)
        return scale * self._rarest * self._encoder.strangeness(found.word)


def _led_up_to(told: Sequence[str], place: int) -> str:
    """A sentence after the one before it, where there is one."""
    return " ".join(told[max(0, place - 1) : place + 1])

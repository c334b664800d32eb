"""From evidence to the probability that an entry is the right one.  Pure.

Two logistic models.  In a base with gaps the entries that were looked at compete with each other
and with "nothing fits", because a gap that fits better speaks against an answer.  In a base
without gaps each entry is judged beside its strongest rival alone.  The weights are fitted on
golden questions by `bench.fit`, never by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one entry."""

    gap: bool  # an honest "the source does not say it"
    phrasings: int  # how many it has
    strength: float  # what was learned, else the density of similar phrasings; about 0 to 1
    nearest: float  # similarity of its most similar phrasing, 0 to 1
    few: float  # mean similarity of its few most similar phrasings, 0 to 1
    many: float  # mean similarity of somewhat more of them, 0 to 1
    by_words: float  # the same as `nearest`, of words and pairs alone, 0 to 0.5
    by_grams: float  # of character n-grams alone, 0 to 0.5
    votes: float  # its share of the most similar phrasings of all, 0 to 1
    coverage: float  # share of the question that the entry's words cover, 0 to 1
    unwanted: bool = False  # the question says what the entry is `not_for`


NO_RIVAL = Evidence(
    gap=False,
    phrasings=0,
    strength=0,
    nearest=0,
    few=0,
    many=0,
    by_words=0,
    by_grams=0,
    votes=0,
    coverage=0,
)


@dataclass(frozen=True, slots=True)
class Overall:
    """What speaks for the question being answered at all."""

    phrasings: float  # how many an entry has on average
    known: float  # share of the question that the base knows, 0 to 1
    length: int  # words of the question
    gaps: float  # strength of all gaps together
    answers: float  # strength of all other entries together
    likely_gaps: float  # the same without those that something speaks against
    likely_answers: float


UNWANTED = math.log(0.3)  # where an editor wrote `not_for`, so much of the odds remains
MOST_UNWANTED = 0.3  # and the probability is at most this
LEAST = 0.02  # keeps logarithms finite
USUAL = math.log1p(20)  # phrasings of an entry


def inputs(evidence: Evidence) -> list[float]:
    """What the model sees of one entry."""
    strength = max(evidence.strength, 0.0)
    values = [
        1.0,
        strength,
        math.sqrt(strength),
        math.log(strength + LEAST),
        evidence.nearest,
        evidence.few,
        evidence.many,
        evidence.by_words,
        evidence.by_grams,
        evidence.votes,
        math.log(evidence.votes + LEAST),
        evidence.coverage,
        evidence.coverage**2,
        evidence.nearest * evidence.coverage,
    ]
    return _shifting(values, evidence.phrasings)


def inputs_of_nothing(evidence: Sequence[Evidence], overall: Overall) -> list[float]:
    """What the model sees of the choice that nothing fits."""
    answers = [e for e in evidence if not e.gap]
    values = [
        overall.known,
        math.log1p(overall.length),
        overall.gaps,
        overall.answers,
        overall.likely_gaps,
        overall.likely_answers,
        max((e.strength for e in answers), default=0.0),
        max((e.nearest for e in answers), default=0.0),
        max((e.coverage for e in answers), default=0.0),
    ]
    return _shifting(values, overall.phrasings)


def _shifting(values: Sequence[float], phrasings: float) -> list[float]:
    """Inputs whose weights shift with the number of phrasings: similarity grows with it."""
    shift = math.log1p(phrasings) - USUAL
    return [*values, *(shift * value for value in values)]


def inputs_alone(evidence: Sequence[Evidence], place: int, overall: Overall) -> list[float]:
    """What the model without gaps sees of one entry."""
    own = evidence[place]
    others = [e for i, e in enumerate(evidence) if i != place]
    rival = max(others, key=lambda e: e.strength, default=NO_RIVAL)
    return [
        1.0,
        own.strength,
        own.strength - rival.strength,
        math.sqrt(max(own.strength, 0.0)),
        own.nearest,
        own.nearest - rival.nearest,
        own.few,
        own.few - max((e.few for e in others), default=0.0),
        own.votes - max((e.votes for e in others), default=0.0),
        own.coverage,
        own.coverage**2,
        own.coverage - rival.coverage,
        own.nearest * own.coverage,
        overall.known,
        math.log1p(overall.length),
    ]


def confidence(
    evidence: Sequence[Evidence], overall: Overall, *, learned: bool, gaps: bool
) -> list[float]:
    """The probability of each entry.

    `learned` says what strength is, `gaps` whether the base has gaps; then all are at most 1
    together.
    """
    weights = WEIGHTS["learned" if learned else "similar"]
    shares = _competing(evidence, overall, weights) if gaps else _alone(evidence, overall, weights)
    return [
        min(share, MOST_UNWANTED) if e.unwanted else share
        for e, share in zip(evidence, shares, strict=True)
    ]


def _competing(
    evidence: Sequence[Evidence], overall: Overall, weights: Mapping[str, Sequence[float]]
) -> list[float]:
    scores = [
        _dot(weights["gap" if e.gap else "answer"], inputs(e)) + UNWANTED * e.unwanted
        for e in evidence
    ]
    scores.append(_dot(weights["nothing"], inputs_of_nothing(evidence, overall)))
    highest = max(scores)
    odds = [math.exp(score - highest) for score in scores]
    return [o / sum(odds) for o in odds[:-1]]


def _alone(
    evidence: Sequence[Evidence], overall: Overall, weights: Mapping[str, Sequence[float]]
) -> list[float]:
    scores = [
        _dot(weights["alone"], inputs_alone(evidence, i, overall)) + UNWANTED * e.unwanted
        for i, e in enumerate(evidence)
    ]
    return [1 / (1 + math.exp(-max(-30.0, min(30.0, score)))) for score in scores]


def _dot(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True))


# Written by bench.fit.
# fmt: off
WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {
    "learned": {
        "answer": (
            -1.302, -1.111, 4.293, 0.922, -8.713, 8.375, 0.674, 6.311, 4.150, -2.062,
            0.706, 3.714, 2.648, 1.562, -0.027, -2.242, 1.751, 0.111, 1.368, -0.672,
            -3.361, 0.133, -0.014, 1.049, 0.079, -1.196, -0.226, 3.447,
        ),
        "gap": (
            -1.087, -6.414, 2.989, 0.979, 1.756, 6.807, 5.338, 3.273, -1.972, -1.401,
            0.335, 2.288, 0.652, 1.557, -0.271, -5.536, 0.677, 0.251, 0.952, -3.485,
            0.615, 5.557, 1.991, 1.297, 0.078, 0.510, 0.474, -0.632,
        ),
        "nothing": (
            -0.630, -0.591, 2.322, -2.768, 1.034, 0.135, 9.947, 1.133, -0.180, -0.397,
            0.224, 0.522, -1.446, 0.480, 0.133, 2.606, 0.871, -0.646,
        ),
        "alone": (
            -9.628, -0.389, -0.214, 7.752, 12.222, -1.553, -1.218, 3.986, 0.432, 3.037,
            0.948, 1.610, -6.812, 0.735, 0.681,
        ),
    },
    "similar": {
        "answer": (
            -0.574, -0.763, -1.952, 1.111, -6.934, 7.179, 10.882, 9.142, 3.670, -2.247,
            0.584, 4.261, 2.546, 2.260, -0.540, 0.394, -0.085, 0.077, 0.097, -1.582,
            -1.556, 0.769, 0.494, 1.324, 0.083, -1.357, 0.123, 3.124,
        ),
        "gap": (
            -0.996, -0.650, -1.239, 0.852, 0.929, 9.138, 6.365, 6.256, -0.918, -1.798,
            0.281, 3.831, -0.559, 1.458, -0.282, 0.355, -0.309, 0.419, 0.151, -3.236,
            -1.335, 4.620, 0.952, 1.672, -0.067, 0.360, -0.177, 0.930,
        ),
        "nothing": (
            -0.286, -0.632, 0.110, 0.011, 0.110, 0.011, 1.610, 2.568, 0.445, -0.374,
            0.424, -0.023, -0.038, -0.023, -0.038, -0.224, -0.709, -0.606,
        ),
        "alone": (
            -7.886, -0.677, 0.214, 2.692, 9.197, -1.464, -1.586, 0.358, 0.799, 2.191,
            1.557, 1.664, -4.826, 0.531, 0.677,
        ),
    },
}
# fmt: on

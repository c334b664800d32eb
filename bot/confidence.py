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
            -0.762, 1.678, 4.415, 0.675, -3.914, 6.636, -2.785, 1.971, -0.635, -1.469,
            0.828, 3.208, 2.463, 1.009, 0.058, -2.775, 2.657, 0.127, 0.766, -0.564,
            -4.492, -1.415, -0.662, 0.858, 0.184, -0.906, -0.861, 4.480,
        ),
        "gap": (
            -0.782, -8.141, 1.938, 0.701, -0.323, 2.455, 4.918, 6.852, -4.877, 2.541,
            0.235, 1.950, 0.722, 4.632, -0.075, -6.345, 1.124, 0.171, 1.052, -4.561,
            -1.850, 0.883, 0.098, 1.265, 0.187, 0.439, 0.142, 1.777,
        ),
        "nothing": (
            0.227, -0.280, 2.249, -3.427, 0.970, 0.170, 10.972, 0.148, -1.392, -0.471,
            0.316, 0.046, -1.827, 0.768, 0.053, 1.704, -0.382, -0.597,
        ),
        "alone": (
            -9.411, -3.554, 0.273, 10.246, 11.130, -2.540, -2.535, 3.988, 0.717, 3.304,
            0.088, 1.267, -4.894, 1.278, 0.396,
        ),
    },
    "similar": {
        "answer": (
            -0.638, -0.937, -2.468, 0.884, -3.894, 6.526, 10.927, 5.229, 0.425, -1.461,
            0.693, 3.706, 2.073, 3.810, -0.380, 0.422, 0.350, 0.277, 0.023, -1.919,
            -4.022, -0.673, -1.006, 1.037, 0.140, -1.187, -0.220, 3.813,
        ),
        "gap": (
            -0.875, -0.453, -1.119, 0.879, 1.201, 7.908, 2.843, 6.055, -3.545, -0.662,
            0.217, 3.813, -0.870, 2.180, -0.249, 0.103, -0.094, 0.630, 0.516, -3.111,
            -1.907, 1.693, -1.228, 0.988, 0.035, 0.621, -0.588, 1.872,
        ),
        "nothing": (
            -0.127, -0.396, 0.052, -0.054, 0.052, -0.054, 1.042, 0.912, -0.333, -0.323,
            0.245, 0.041, -0.020, 0.041, -0.020, -0.037, -2.113, -0.324,
        ),
        "alone": (
            -7.388, -0.728, 0.170, 3.063, 8.848, -2.065, -3.638, 1.102, 0.975, 2.085,
            1.048, 1.626, -3.504, 0.721, 0.530,
        ),
    },
}
# fmt: on

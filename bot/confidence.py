"""From evidence to the probability that an entry is the right one.  Pure.

A logistic model.  Its weights are fitted on golden questions by `bench.fit`, never by hand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one entry, from the reading of the question that fits it best."""

    gap: bool  # an honest "the source does not say it"
    strength: float  # what was learned, else the density of similar phrasings; about 0 to 1
    nearest: float  # similarity of its most similar phrasing, 0 to 1
    known: float  # share of the question that the base knows at all, 0 to 1
    length: int  # words of the question
    coverage: float  # share of the question that the entry's words cover, 0 to 1
    unwanted: bool = False  # the question says what the entry is `not_for`


UNWANTED = 0.3  # what remains of the probability where an editor wrote `not_for`

NOTHING = Evidence(gap=False, strength=0.0, nearest=0.0, known=0.0, length=0, coverage=0.0)


def features(evidence: Sequence[Evidence], place: int) -> list[float]:
    """The inputs of the model for one of several entries, beside its rival and the gaps."""
    own = evidence[place]
    others = [e for i, e in enumerate(evidence) if i != place]
    rival = max((e for e in others if not e.gap), key=_strength, default=NOTHING)
    gap = max((e for e in others if e.gap), key=_strength, default=NOTHING)
    gaps = sum(max(e.strength, 0.0) for e in others if e.gap)
    return [
        1.0,
        own.strength,
        own.strength - rival.strength,
        math.sqrt(max(own.strength, 0.0)),
        own.nearest,
        own.nearest - rival.nearest,
        own.coverage,
        own.coverage**2,
        own.coverage - rival.coverage,
        own.nearest * own.coverage,
        own.known,
        math.log1p(own.length),
        max(gap.strength, 0.0),
        gap.nearest,
        gap.coverage,
        gap.coverage - own.coverage,
        gaps,  # several gaps may share a question
        max(own.strength, 0.0) / (max(own.strength, 0.0) + gaps + 0.05),
    ]


def confidence(evidence: Sequence[Evidence], *, learned: bool) -> list[float]:
    """The probability of each entry, 0 to 1; `learned` says what their strength is."""
    return [
        _probability(features(evidence, i), e.gap, learned) * (UNWANTED if e.unwanted else 1.0)
        for i, e in enumerate(evidence)
    ]


def _strength(evidence: Evidence) -> float:
    return evidence.strength


def _probability(inputs: Sequence[float], gap: bool, learned: bool) -> float:
    weights = WEIGHTS["learned" if learned else "similar", "gap" if gap else "answer"]
    total = sum(weight * value for weight, value in zip(weights, inputs, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


# Written by bench.fit.
# fmt: off
WEIGHTS: dict[tuple[str, str], tuple[float, ...]] = {
    ("learned", "answer"): (
        -5.080, 3.291, -0.872, 6.046, 9.298, 1.093, 1.722, 2.414, 0.761, -6.445, -2.459,
        0.602, -0.939, -3.221, 0.399, -0.776, -4.527, -0.051,
    ),
    ("learned", "gap"): (
        -5.204, -31.318, 4.974, 58.423, -4.601, 4.581, -0.539, -3.056, 2.866, 6.378,
        -0.969, 0.352, -38.971, 0.331, -0.299, 0.141, -7.987, -12.707,
    ),
    ("similar", "answer"): (
        -5.022, 0.183, 0.070, -0.651, 7.113, -0.603, 0.818, 3.183, 0.907, -5.051, -2.151,
        0.386, -0.231, -1.924, -0.125, -0.611, 0.423, 5.729,
    ),
    ("similar", "gap"): (
        -3.680, -1.093, 0.771, 1.456, -6.643, 6.588, -2.198, -0.301, 3.023, 5.187, -0.385,
        0.285, -4.438, 0.304, -1.389, 0.543, 3.671, 11.680,
    ),
}
# fmt: on

"""From evidence to the probability that an entry is the right one.  Pure.

A logistic model.  Its weights are fitted on golden questions by `bench/fit.py`, never by hand.
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
    return [_probability(features(evidence, i), e.gap, learned) for i, e in enumerate(evidence)]


def _strength(evidence: Evidence) -> float:
    return evidence.strength


def _probability(inputs: Sequence[float], gap: bool, learned: bool) -> float:
    weights = WEIGHTS["learned" if learned else "similar", "gap" if gap else "answer"]
    total = sum(weight * value for weight, value in zip(weights, inputs, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


# Written by bench/fit.py.
# fmt: off
WEIGHTS: dict[tuple[str, str], tuple[float, ...]] = {
    ("learned", "answer"): (
        -5.646, 2.580, 0.197, 6.232, 9.548, 0.501, 2.862, 2.021, 1.067, -8.614, -2.559,
        0.791, -3.233, -2.044, 0.896, -1.144, -3.686, -0.375,
    ),
    ("learned", "gap"): (
        -4.649, -28.953, 3.187, 59.792, -5.683, 4.163, -0.186, -4.160, 3.297, 8.727,
        -2.037, 0.039, -34.498, 0.699, -0.327, -0.102, -10.532, -13.065,
    ),
    ("similar", "answer"): (
        -5.365, 0.638, 0.125, -1.928, 7.078, -0.163, 2.932, 2.013, 0.677, -6.982, -2.280,
        0.583, -0.231, -1.372, 0.609, -1.603, 0.420, 5.783,
    ),
    ("similar", "gap"): (
        -3.309, -1.203, 0.814, 1.494, -7.735, 5.773, -1.765, -1.758, 3.853, 7.907, -1.207,
        0.174, -4.698, 0.266, -1.422, 0.213, 4.087, 12.490,
    ),
}
# fmt: on

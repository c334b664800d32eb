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


# Written by bench/fit.py.
# fmt: off
WEIGHTS: dict[tuple[str, str], tuple[float, ...]] = {
    ("learned", "answer"): (
        -4.953, 4.285, -0.962, 5.406, 9.219, 1.030, 1.727, 2.425, 0.784, -6.445, -2.539,
        0.608, -1.249, -3.228, 0.414, -0.774, -4.197, -0.038,
    ),
    ("learned", "gap"): (
        -5.236, -31.294, 5.001, 58.300, -4.312, 4.616, -0.773, -2.741, 2.916, 5.820,
        -0.840, 0.352, -39.255, 0.301, -0.433, 0.201, -7.687, -12.585,
    ),
    ("similar", "answer"): (
        -5.055, 0.186, 0.069, -0.659, 7.010, -0.572, 0.925, 3.090, 0.898, -4.993, -2.156,
        0.383, -0.242, -1.925, -0.072, -0.647, 0.428, 5.746,
    ),
    ("similar", "gap"): (
        -3.622, -1.108, 0.782, 1.477, -6.516, 6.561, -2.190, -0.277, 3.007, 5.084, -0.441,
        0.283, -4.471, 0.283, -1.414, 0.517, 3.698, 11.633,
    ),
}
# fmt: on

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
        -5.573, 3.001, 0.071, 5.637, 9.817, 0.373, 2.934, 1.964, 1.030, -8.665, -2.921,
        0.736, -7.790, -1.986, 0.923, -1.171,
    ),
    ("learned", "gap"): (
        -4.621, -19.236, 3.558, 35.476, -6.251, 4.334, -0.376, -4.039, 3.382, 9.060,
        -1.798, 0.120, -29.938, 0.710, -0.331, 0.014,
    ),
    ("similar", "answer"): (
        -4.621, -0.187, 0.196, 1.962, 9.197, -0.576, 3.015, 2.057, 0.637, -7.781, -2.931,
        0.541, -0.573, -2.116, 0.600, -1.665,
    ),
    ("similar", "gap"): (
        -1.951, -4.358, 0.903, 13.915, -6.130, 5.160, -1.696, -1.733, 3.435, 7.835,
        -1.872, 0.127, -3.901, -0.837, -1.623, 0.009,
    ),
}
# fmt: on

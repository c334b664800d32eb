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
        -5.767, 1.828, 0.210, 7.947, 10.548, 0.096, 2.530, 2.233, 1.078, -8.768, -2.360,
        0.696, -3.103, -2.259, 0.655, -1.076, -4.251, -1.334,
    ),
    ("learned", "gap"): (
        -4.729, -27.577, 3.859, 57.488, -6.017, 4.473, -0.114, -4.490, 3.310, 8.931,
        -1.785, 0.195, -36.254, 0.426, -0.340, -0.156, -8.806, -11.992,
    ),
    ("similar", "answer"): (
        -5.521, 0.488, 0.110, -1.594, 7.522, -0.287, 2.087, 2.704, 0.707, -7.034, -1.890,
        0.512, -0.236, -1.342, 0.205, -1.271, 0.442, 5.892,
    ),
    ("similar", "gap"): (
        -3.171, -1.057, 0.792, 1.142, -8.478, 6.501, -1.266, -2.434, 3.436, 8.768, -1.119,
        0.206, -4.430, 0.307, -1.295, -0.062, 3.874, 12.373,
    ),
}
# fmt: on

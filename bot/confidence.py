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
        -5.621, 0.875, 0.382, 8.211, 10.328, -0.032, 2.576, 2.115, 1.206, -8.429, -2.524,
        0.699, -3.073, -2.593, 0.758, -1.079, -4.137, -1.004,
    ),
    ("learned", "gap"): (
        -4.783, -34.431, 3.724, 63.300, -6.440, 4.423, -0.441, -3.735, 2.988, 8.987,
        -1.809, 0.107, -44.099, 1.192, -0.384, 0.017, -7.218, -13.411,
    ),
    ("similar", "answer"): (
        -5.486, 0.527, 0.110, -1.679, 7.167, -0.149, 2.602, 2.265, 0.654, -6.962, -2.149,
        0.554, -0.247, -1.263, 0.422, -1.494, 0.445, 5.897,
    ),
    ("similar", "gap"): (
        -3.222, -1.133, 0.807, 1.336, -8.157, 5.878, -1.581, -2.210, 3.624, 8.926, -1.029,
        0.177, -4.512, 0.120, -1.337, 0.139, 3.898, 12.272,
    ),
}
# fmt: on

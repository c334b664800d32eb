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
        -5.681, -1.783, 0.163, 9.935, 6.126, 0.200, 3.723, 1.298, 0.333, -6.894, -3.100,
        0.655, -5.410, -1.187, 0.599, -1.881,
    ),
    ("learned", "gap"): (
        -3.388, -19.603, 2.689, 31.691, -3.282, 2.234, -2.732, -1.158, 4.045, 7.365,
        -1.095, -0.206, -24.434, -0.822, -1.350, 0.711,
    ),
    ("similar", "answer"): (
        -4.781, -1.157, 0.777, 3.657, 6.296, -0.959, 3.260, 2.011, 0.223, -6.405, -2.477,
        0.585, -0.821, -1.764, 0.562, -1.932,
    ),
    ("similar", "gap"): (
        -1.315, -6.654, 0.428, 15.438, -1.412, 4.671, -3.231, -1.512, 4.101, 8.119,
        -0.929, -0.151, -8.423, -2.861, -1.705, 0.924,
    ),
}
# fmt: on

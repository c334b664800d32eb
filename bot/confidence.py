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
        -6.328, 2.823, 0.840, 7.935, 4.760, -1.211, 4.929, -0.422, 0.161, -4.148, -2.952,
        0.671, -3.424, -1.066, 1.128, -2.567,
    ),
    ("learned", "gap"): (
        -1.445, -2.333, 6.956, 18.211, 3.107, 2.272, -1.902, -0.849, 4.449, -1.126,
        -1.413, -0.182, -25.724, -2.961, -0.397, 0.996,
    ),
    ("similar", "answer"): (
        -5.158, 0.238, 0.341, 2.432, 7.001, -0.687, 4.534, 0.439, 0.778, -7.330, -2.192,
        0.501, -0.232, -2.308, 0.921, -2.869,
    ),
    ("similar", "gap"): (
        -0.659, -7.691, 2.127, 15.881, 1.858, 2.903, -4.071, 1.579, 4.229, 3.554, -1.535,
        -0.206, -7.594, -4.943, -1.748, 1.670,
    ),
}
# fmt: on

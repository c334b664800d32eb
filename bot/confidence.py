"""From evidence to the probability that an entry is the right one.  Pure.

A logistic model; its weights are fitted on the golden questions by `bench/fit.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one entry, from the reading of the question that fits it best."""

    gap: bool  # an honest "the source does not say it"
    learned: float | None  # what the regression says, about 0 to 1; None without learning
    density: float  # sum of squared similarities to its phrasings
    share: float  # its part of the density of all entries, 0 to 1
    nearest: float  # similarity of its most similar phrasing, 0 to 1
    known: float  # share of the question that the base knows at all, 0 to 1
    length: int  # words of the question
    coverage: float  # share of the question that the entry's words cover, 0 to 1
    missed: float  # weight of the words that they do not cover
    worst_miss: float  # weight of the heaviest of them


def features(evidence: Sequence[Evidence], place: int) -> list[float]:
    """The inputs of the model for one of several entries, beside its rivals and the gaps."""
    own = evidence[place]
    rivals = [e for i, e in enumerate(evidence) if i != place and not e.gap]
    gaps = [e for i, e in enumerate(evidence) if i != place and e.gap]
    gap = max(gaps, key=_strength, default=_NOTHING)
    rival = max(rivals, key=_strength, default=_NOTHING)
    return [
        1.0,
        _log(own.density),
        _log(own.density) - _log(rival.density),
        own.share,
        own.nearest,
        own.nearest**2,
        own.nearest - rival.nearest,
        own.known,
        math.log1p(own.length),
        own.coverage,
        own.coverage**2,
        own.coverage - rival.coverage,
        own.nearest * own.coverage,
        math.log1p(own.missed),
        own.worst_miss,
        _log(gap.density),
        gap.nearest,
        gap.coverage,
        gap.coverage-own.coverage,
        math.log1p(gap.missed),
        own.learned or 0.0,
        (own.learned or 0.0) - (rival.learned or 0.0),
        math.sqrt(max(own.learned or 0.0, 0.0)),
        max(gap.learned or 0.0, 0.0),
    ]


def _strength(evidence: Evidence) -> float:
    return evidence.density if evidence.learned is None else evidence.learned


def _log(value: float) -> float:
    return math.log(max(value, 0.0) + 0.02)


_NOTHING = Evidence(
    gap=False, learned=0.0, density=0.0, share=0.0, nearest=0.0, known=0.0, length=0,
    coverage=0.0, missed=0.0, worst_miss=0.0,
)  # fmt: skip


def confidence(evidence: Sequence[Evidence]) -> list[float]:
    return [_strength(e) for e in evidence]

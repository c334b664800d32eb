"""Fits the weights of `bot.search.confidence` on golden questions and prints them.

    python -m bench.fit tests/golden/second tests/golden/third [--write]

A question has one outcome among the entries looked at closely and "nothing fits": one of the
entries that hold all facts that it asks for (`sources.facts`); for a question to decline, a gap
or nothing.  Questions whose right entry was not looked at teach nothing, nor do long texts, which
are judged by their sentences.  The model for bases
without gaps is fitted on the same base without its gaps, and without the declines near the field:
only gaps tell those from answers.  The base is also fitted with fewer phrasings, so that the
weights suit younger ones.  Penalties are chosen by five-fold cross-validation over
questions; the figures are out of fold.
"""

from __future__ import annotations

import argparse
import itertools
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.questions import Question, read, right_entries
from bot.content.knowledge import Kind, KnowledgeBase, load, shipped
from bot.search import confidence
from bot.search.confidence import UNWANTED, inputs, inputs_alone, inputs_of_nothing
from bot.search.language import words
from bot.search.matching import LONG, Index

FOLDS = 5
PENALTIES = (3e-4, 1e-3, 3e-3)  # less would fit this base better and smaller ones worse
STEPS = 60
BLOCKS = ("answer", "gap", "nothing")
FEWER = (25, 8)  # phrasings of an entry
_INDENTED = {"initial_indent": " " * 12, "subsequent_indent": " " * 12}


@dataclass(frozen=True)
class Examples:
    """One row a question, one column a choice (the entries looked at, then "nothing")."""

    inputs: np.ndarray  # questions x choices x weights; each kind of choice has its own weights
    offset: np.ndarray  # questions x choices: what counts beside the weights; -inf is no choice
    right: np.ndarray  # questions x choices
    sizes: tuple[int, int, int]  # weights of an answer, of a gap, of nothing

    def __getitem__(self, rows: np.ndarray) -> Examples:
        return Examples(self.inputs[rows], self.offset[rows], self.right[rows], self.sizes)


def examples(
    indexes: Sequence[Index], questions: list[Question], right: list[frozenset[str]]
) -> tuple[Examples, np.ndarray]:
    """Every question asked of every index, and by row the number of the question."""
    seen, numbers = [], []
    asked = list(enumerate(zip(questions, right, strict=True)))
    for index, (number, (question, entries)) in itertools.product(indexes, asked):
        if question.kind == "smalltalk" or len(words(question.q)) > LONG:
            continue
        ids, evidence, overall = index.evidence(question.q)
        wanted = [
            e.gap if question.kind == "decline" else i in entries
            for i, e in zip(ids, evidence, strict=True)
        ] + [question.kind == "decline"]
        if any(wanted):
            seen.append((evidence, overall, wanted))
            numbers.append(number)
    most = max(len(evidence) for evidence, _, _ in seen) + 1
    of_entry, of_nothing = len(inputs(seen[0][0][0])), len(inputs_of_nothing(*seen[0][:2]))
    values = np.zeros((len(seen), most, 2 * of_entry + of_nothing))
    offset = np.full((len(seen), most), -np.inf)
    hits = np.zeros((len(seen), most), bool)
    for row, (evidence, overall, wanted) in enumerate(seen):
        for place, one in enumerate(evidence):
            start = of_entry * one.gap
            values[row, place, start : start + of_entry] = inputs(one)
            offset[row, place] = UNWANTED * one.unwanted
        values[row, -1, 2 * of_entry :] = inputs_of_nothing(evidence, overall)
        offset[row, -1] = 0
        hits[row, [*range(len(evidence)), most - 1]] = wanted
    return Examples(values, offset, hits, (of_entry, of_entry, of_nothing)), np.array(numbers)


def chances(data: Examples, weights: np.ndarray) -> np.ndarray:
    scores = data.inputs @ weights + data.offset
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def fit(data: Examples, penalty: float) -> np.ndarray:
    """Penalised maximum likelihood by Newton's method; weights for the raw inputs.

    Where several choices are right, each step shares the question among them as they stand.
    """
    used = np.maximum((data.inputs != 0).sum(axis=(0, 1)), 1)
    scale = np.maximum(np.sqrt((data.inputs**2).sum(axis=(0, 1)) / used), 1e-9)
    scaled = Examples(data.inputs / scale, data.offset, data.right, data.sizes)
    ridge = penalty * len(data.right) * np.eye(len(scale))
    weights = np.zeros(len(scale))
    for _ in range(STEPS):
        guess = chances(scaled, weights)
        among = np.where(scaled.right, guess, 0)
        truth = among / among.sum(axis=1, keepdims=True)
        slope = np.einsum("qc,qcw->w", guess - truth, scaled.inputs) + ridge @ weights
        mean = np.einsum("qc,qcw->qw", guess, scaled.inputs)
        flat = scaled.inputs * np.sqrt(guess)[:, :, None]
        curve = np.tensordot(flat, flat, ((0, 1), (0, 1))) - mean.T @ mean + ridge
        weights -= np.linalg.solve(curve, slope)
    return weights / scale


def loss(guess: np.ndarray, right: np.ndarray) -> float:
    return float(-np.log(np.maximum((guess * right).sum(axis=1), 1e-9)).mean())


@dataclass(frozen=True)
class Judged:
    """One row an entry that was looked at."""

    inputs: np.ndarray
    right: np.ndarray  # rows x 2: not right, right
    questions: np.ndarray  # by row the number of its question

    def __getitem__(self, rows: np.ndarray) -> Judged:
        return Judged(self.inputs[rows], self.right[rows], self.questions[rows])


def judged(index: Index, questions: list[Question], right: list[frozenset[str]]) -> Judged:
    rows, hits, numbers = [], [], []
    for number, (question, entries) in enumerate(zip(questions, right, strict=True)):
        near = question.kind == "decline" and question.topic != "sonstiges"
        if question.kind == "smalltalk" or near or len(words(question.q)) > LONG:
            continue
        ids, evidence, overall = index.evidence(question.q)
        for place, i in enumerate(ids):
            rows.append(inputs_alone(evidence, place, overall))
            hits.append(i in entries)
            numbers.append(number)
    hit = np.array(hits)
    return Judged(np.array(rows), np.stack([~hit, hit], axis=1), np.array(numbers))


def chances_alone(data: Judged, weights: np.ndarray) -> np.ndarray:
    yes = 1 / (1 + np.exp(-np.clip(data.inputs @ weights, -30, 30)))
    return np.stack([1 - yes, yes], axis=1)


def fit_alone(data: Judged, penalty: float) -> np.ndarray:
    """Penalised logistic regression by Newton's method; weights for the raw inputs."""
    mean, scale = data.inputs.mean(0), data.inputs.std(0)
    mean[0], scale[0] = 0, 1
    scaled = replace(data, inputs=(data.inputs - mean) / scale)
    ridge = penalty * len(data.right) * np.diag(np.r_[0, np.ones(len(mean) - 1)])
    weights = np.zeros(len(mean))
    for _ in range(STEPS):
        yes = chances_alone(scaled, weights)[:, 1]
        slope = scaled.inputs.T @ (yes - data.right[:, 1]) + ridge @ weights
        curve = scaled.inputs.T @ (scaled.inputs * (yes * (1 - yes))[:, None]) + ridge
        weights -= np.linalg.solve(curve, slope)
    raw = weights / scale
    raw[0] -= float((mean * raw)[1:].sum())
    return raw


def out_of_fold(data, folds: np.ndarray, fitted: Callable, guessed: Callable) -> np.ndarray:
    guess = np.zeros(data.right.shape)
    for fold in range(FOLDS):
        held = folds % FOLDS == fold
        guess[held] = guessed(data[held], fitted(data[~held]))
    return guess


def chosen(name: str, data, folds: np.ndarray, fitted: Callable, guessed: Callable) -> np.ndarray:
    """The weights with the best penalty; prints how well they do out of fold."""
    losses = {
        penalty: loss(
            out_of_fold(data, folds, lambda d, p=penalty: fitted(d, p), guessed), data.right
        )
        for penalty in PENALTIES
    }
    best = min(losses, key=losses.__getitem__)
    print(f"{name}: {len(data.right)} examples, penalty {best}, log loss {losses[best]:.4f}")
    return fitted(data, best)


def thinned(base: KnowledgeBase, most: int) -> KnowledgeBase:
    """The base with about so many questions an entry."""
    entries = {
        i: e.model_copy(update={"questions": e.questions[:: max(1, len(e.questions) // most)]})
        for i, e in base.entries.items()
    }
    return replace(base, entries=entries)


def table(blocks: Sequence[tuple[str, np.ndarray]]) -> list[str]:
    lines = []
    for name, weights in blocks:
        lines.append(f'        "{name}": (')
        lines += textwrap.wrap(", ".join(f"{w:.3f}" for w in weights) + ",", 90, **_INDENTED)
        lines.append("        ),")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="into bot/search/confidence.py")
    arguments = parser.parse_args()
    base = load(shipped()).base
    assert base is not None
    answers = {i: e for i, e in base.entries.items() if e.kind is not Kind.GAP}
    questions = [q for folder in arguments.folders for q in read(folder)]
    right = [right_entries(q, base) & answers.keys() for q in questions]
    whole = [Index(b) for b in (base, *(thinned(base, few) for few in FEWER))]
    gapless = Index(replace(base, entries=answers))
    lines = []
    for mode in ("learned", "similar"):
        if mode == "similar":
            whole, gapless = [index.unlearned() for index in whole], gapless.unlearned()
        data, numbers = examples(whole, questions, right)
        competing = chosen(f"{mode}, with gaps", data, numbers, fit, chances)
        lonely = judged(gapless, questions, right)
        alone = chosen(f"{mode}, no gaps", lonely, lonely.questions, fit_alone, chances_alone)
        parts = zip(BLOCKS, np.split(competing, np.cumsum(data.sizes)[:-1]), strict=True)
        lines += [f'    "{mode}": {{', *table([*parts, ("alone", alone)]), "    },"]
    print("\n".join(lines))
    if arguments.write:
        path = Path(confidence.__file__)
        text = path.read_text(encoding="utf-8")
        head, tail = re.split(r"(?<== \{\n)(?:    .*\n)+", text)
        path.write_text(head + "\n".join(lines) + "\n" + tail, encoding="utf-8")


if __name__ == "__main__":
    main()

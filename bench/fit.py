"""Fits the weights of `bot.confidence` on golden questions and prints them.

    python -m bench.fit tests/golden/second [tests/golden …] [--write]

For every question the evidence of the entries looked at closely is one example each: right
where the entry holds all facts that the question asks for (`sources.facts`), wrong elsewhere.
For the honest gaps, the likeliest one is right where the question has to be declined.  The
penalty is chosen by five-fold cross-validation over questions; the figures are out of fold.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from pathlib import Path

import numpy as np

from bench.questions import Question, read, right_entries
from bot import confidence
from bot.confidence import features
from bot.knowledge import Kind, load, shipped
from bot.library import edition_of
from bot.matching import Index

FOLDS = 5
_INDENTED = {"initial_indent": " " * 8, "subsequent_indent": " " * 8}
PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def examples(
    index: Index, questions: list[Question], right: list[frozenset[str]], *, gaps: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, right or not, and the number of the question, for answers or for gaps."""
    inputs, truth, numbers = [], [], []
    for number, (question, entries) in enumerate(zip(questions, right, strict=True)):
        if question.kind == "smalltalk":
            continue
        ids, evidence = index.evidence(question.q)
        first_gap = next((i for i, e in enumerate(evidence) if e.gap), None)
        for place, (entry_id, own) in enumerate(zip(ids, evidence, strict=True)):
            if own.gap is not gaps:
                continue
            hit = place == first_gap and question.kind == "decline" if gaps else entry_id in entries
            inputs.append(features(evidence, place))
            truth.append(float(hit))
            numbers.append(number)
    return np.array(inputs), np.array(truth), np.array(numbers)


def fit(inputs: np.ndarray, truth: np.ndarray, penalty: float) -> np.ndarray:
    """Penalised logistic regression by Newton's method; weights for the raw inputs."""
    mean, scale = inputs.mean(0), inputs.std(0)
    mean[0], scale[0] = 0, 1
    scale[scale == 0] = 1
    scaled = (inputs - mean) / scale
    ridge = penalty * len(truth) * np.r_[0, np.ones(scaled.shape[1] - 1)]
    weights = np.zeros(scaled.shape[1])
    for _ in range(40):
        guess = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (guess - truth) + ridge * weights
        curve = (scaled * (guess * (1 - guess))[:, None]).T @ scaled + np.diag(ridge)
        weights -= np.linalg.solve(curve, slope)
    raw = weights / scale
    raw[0] -= float((mean * raw)[1:].sum())
    return raw


def chances(inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))


def loss(guess: np.ndarray, truth: np.ndarray) -> float:
    guess = np.clip(guess, 1e-6, 1 - 1e-6)
    return float(-(truth * np.log(guess) + (1 - truth) * np.log(1 - guess)).mean())


def out_of_fold(
    inputs: np.ndarray, truth: np.ndarray, numbers: np.ndarray, penalty: float
) -> np.ndarray:
    guess = np.zeros(len(truth))
    for fold in range(FOLDS):
        held = numbers % FOLDS == fold
        guess[held] = chances(inputs[held], fit(inputs[~held], truth[~held], penalty))
    return guess


def area(guess: np.ndarray, truth: np.ndarray) -> float:
    right, wrong = guess[truth == 1], np.sort(guess[truth == 0])
    below = np.searchsorted(wrong, right, "left") + np.searchsorted(wrong, right, "right")
    return float(below.mean() / 2 / len(wrong))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="into bot/confidence.py")
    arguments = parser.parse_args()
    base = load(shipped()).base
    assert base is not None
    edition = edition_of(base)
    questions = [q for folder in arguments.folders for q in read(folder)]
    right = [right_entries(q, base) - _gaps(base) for q in questions]
    lines = []
    for mode, index in (("learned", edition.index), ("similar", edition.index.unlearned())):
        for kind in ("answer", "gap"):
            data = examples(index, questions, right, gaps=kind == "gap")
            best = min(PENALTIES, key=lambda p: loss(out_of_fold(*data, p), data[1]))
            guess = out_of_fold(*data, best)
            print(
                f"{mode} {kind}: {len(data[1])} examples, penalty {best}, "
                f"log loss {loss(guess, data[1]):.4f}, AUROC {area(guess, data[1]):.3f}",
                flush=True,
            )
            weights = ", ".join(f"{w:.3f}" for w in fit(data[0], data[1], best))
            lines.append(f'    ("{mode}", "{kind}"): (')
            lines += textwrap.wrap(weights + ",", 90, **_INDENTED)
            lines.append("    ),")
    table = "\n".join(lines)
    print(table)
    if arguments.write:
        path = Path(confidence.__file__)
        text = path.read_text(encoding="utf-8")
        head, tail = re.split(r"(?<== \{\n)(?:    .*\n)+", text)
        path.write_text(head + table + "\n" + tail, encoding="utf-8")


def _gaps(base) -> frozenset[str]:
    return frozenset(e.id for e in base.entries.values() if e.kind is Kind.GAP)


if __name__ == "__main__":
    main()

"""The matcher on HINT3 v1, real questions to three live FAQ bots, beside the paper's peers.

    python -m bench.hint3 FOLDER [--keep KNOWLEDGE_FOLDER]

FOLDER is a copy of the public data set (train/BOT.csv, test/BOT.csv, preds/PLATFORM_BOT.csv).
Each bot becomes a knowledge folder with `language: en`, loaded and matched like any other, with
the weights of the shipped program.  Columns: share of in-scope questions whose best entry is
right (top-1), AUROC of the score between in-scope and out-of-scope questions, and the share of
in-scope questions answered rightly where 95 % of the out-of-scope ones are rejected (c@95).
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import yaml

from bot.content.knowledge import load
from bot.search.matching import Index

BOTS = ("curekart", "powerplay11", "sofmattress")
OUT_OF_SCOPE = "NO_NODES_DETECTED"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def write_knowledge(train: Path, folder: Path) -> None:
    """One entry a label: its phrasings are the questions, its name is title and answer."""
    phrasings: dict[str, list[str]] = defaultdict(list)
    for row in rows(train):
        sentence = row["sentence"].strip()[:300]
        if sentence and sentence not in phrasings[row["label"]]:
            phrasings[row["label"]].append(sentence)
    entries = [
        {"id": slug(label), "title": name, "questions": questions, "answer": name}
        for label, questions in phrasings.items()
        for name in [label.replace("_", " ").title()]
    ]
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"language": "en", "entries": entries}, allow_unicode=True)
    (folder / "entries.yaml").write_text(text, encoding="utf-8")


def auroc(inside: list[float], outside: list[float]) -> float:
    scores = np.array(inside + outside)
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    size = len(inside)
    return float((ranks[:size].sum() - size * (size + 1) / 2) / (size * len(outside)))


def figures(truth: list[str], answers: list[tuple[str, float]]) -> tuple[float, float, float]:
    pairs = list(zip(truth, answers, strict=True))
    inside = [(label == said, score) for label, (said, score) in pairs if label != OUT_OF_SCOPE]
    outside = [score for label, (_, score) in pairs if label == OUT_OF_SCOPE]
    threshold = float(np.quantile(outside, 0.95))
    top1 = sum(right for right, _ in inside) / len(inside)
    covered = sum(right and score > threshold for right, score in inside) / len(inside)
    return top1, auroc([score for _, score in inside], outside), covered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", type=Path, help="where to leave the knowledge folders")
    arguments = parser.parse_args()
    results: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        for bot in BOTS:
            test = rows(arguments.folder / "test" / f"{bot}.csv")
            truth = [row["label"] for row in test]
            folder = (arguments.keep or Path(scratch)) / bot
            write_knowledge(arguments.folder / "train" / f"{bot}.csv", folder)
            base = load(folder).base
            assert base is not None, f"{folder} does not load"
            index = Index(base)
            started = time.perf_counter()
            best = [index.match(row["sentence"])[0] for row in test]
            per_question_ms = (time.perf_counter() - started) / len(test) * 1000
            labels = [OUT_OF_SCOPE if t == OUT_OF_SCOPE else slug(t) for t in truth]
            results["OZG-Lotse"].append(figures(labels, [(m.entry, m.score) for m in best]))
            print(f"{bot}: {len(test)} questions, {per_question_ms:.2f} ms each", flush=True)
            for path in sorted((arguments.folder / "preds").glob(f"*_{bot}.csv")):
                said = [(r["predicted_node"], _score(r)) for r in rows(path)]
                if len(said) == len(truth):
                    results[path.stem.split("_")[0]].append(figures(truth, said))
    print(f"\n{'system':12} top-1 AUROC  c@95   (mean of {len(BOTS)}; top-1 of each)")
    for system, values in sorted(results.items(), key=lambda item: -np.mean(item[1], axis=0)[1]):
        if len(values) == len(BOTS):
            top1, area, covered = np.mean(values, axis=0)
            each = " ".join(f"{value[0]:.3f}" for value in values)
            print(f"{system:12} {top1:.3f} {area:.3f} {covered:.3f}   ({each})")


def _score(row: dict[str, str]) -> float:
    return float(row["predicted_node_score"] or 0)


if __name__ == "__main__":
    main()

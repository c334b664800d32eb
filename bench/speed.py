"""How fast matching is, beside RapidFuzz's own search, and how it grows.

    python -m bench.speed            the shipped base, cold, beside extractOne(WRatio)
    python -m bench.speed growth     100 to 100,000 synthetic entries

Cold: every question has words that were never seen before (a fresh typing error in each longer
word), so no cache helps.  Medians and 95 % quantiles in milliseconds; the ratio is what counts.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz, process

from bench.questions import read
from bot.content.knowledge import Entry, KnowledgeBase, shipped
from bot.search.language import frequencies
from bot.search.library import publish
from bot.search.matching import Index

SIZES = (100, 1_000, 10_000, 100_000)
WORDS_IN_TITLE, WORDS_IN_QUESTION, QUESTIONS = 3, 6, 3


def main() -> None:
    if sys.argv[1:2] == ["growth"]:
        if len(sys.argv) > 2:
            grow(int(sys.argv[2]))
        else:  # a process each, so that the memory is its own
            print("  entries  build s  memory MiB  p50 ms  p95 ms", flush=True)
            for size in SIZES:
                subprocess.run(
                    [sys.executable, "-m", "bench.speed", "growth", str(size)], check=True
                )
    else:
        beside_rapidfuzz()


def beside_rapidfuzz() -> None:
    started = time.perf_counter()
    edition = publish(shipped())
    built = time.perf_counter() - started
    entries = edition.base.entries.values()
    phrasings = [p for e in entries for p in (e.title, *e.questions)]
    questions = [q.q for q in read(Path("tests/golden"))]
    chance = random.Random(7)
    ours: list[float] = []
    theirs: list[float] = []
    for question in questions:
        typed = " ".join(mistyped(word, chance) for word in question.split())
        ours.append(milliseconds(lambda typed=typed: edition.index.match(typed)))
        theirs.append(
            milliseconds(
                lambda typed=typed: process.extractOne(typed, phrasings, scorer=fuzz.WRatio)
            )
        )
    print(f"{len(entries)} entries, {len(phrasings)} phrasings, {len(questions)} questions")
    print(f"load and build {built:.2f} s")
    print(f"Index.match          {quantiles(ours)}")
    print(f"extractOne(WRatio)   {quantiles(theirs)}")
    ratio = float(np.median(theirs) / np.median(ours))
    print(f"median ratio {ratio:.1f}: that many times as fast as extractOne(WRatio)")
    mail = " ".join(questions * 40)[:20_000]
    for name, text in (
        ("mail of 20,000 characters", mail),
        ("a million characters", "Nachnutzung " * 83_334),
        ("10,000 different words", " ".join(f"w{n}ort" for n in range(10_000))),
        ("one letter repeated", "a" * 1_000_000),
        ("one sign repeated", "\ufdfa" * 1_000_000),
    ):
        print(f"{name:28} {milliseconds(lambda text=text: edition.index.match(text)):7.1f} ms")


def mistyped(word: str, chance: random.Random) -> str:
    """The word with two neighbouring letters inside it exchanged and one doubled."""
    if len(word) < 5 or not word.isalpha():
        return word
    at = chance.randrange(1, len(word) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    twice = chance.randrange(1, len(swapped))
    return swapped[:twice] + swapped[twice - 1] + swapped[twice:]


def milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def quantiles(times: list[float]) -> str:
    middle, high = np.percentile(times, [50, 95])
    return f"p50 {middle:6.2f} ms   p95 {high:6.2f} ms"


def grow(size: int) -> None:
    """Entries of common words and of names that only they have."""
    chance = random.Random(size)
    common = [word for word in frequencies("de") if len(word) > 3][:20_000]

    def name() -> str:
        return "".join(chance.choice(["ka", "lo", "mi", "ster", "burg", "rund"]) for _ in range(4))

    def sentence(count: int) -> str:
        return " ".join([*chance.choices(common, k=count - 1), name()])

    entries = {}
    for number in range(size):
        questions = tuple(sentence(WORDS_IN_QUESTION) for _ in range(QUESTIONS))
        entries[f"e{number}"] = Entry.model_construct(
            id=f"e{number}", title=sentence(WORDS_IN_TITLE), answer=sentence(12),
            questions=questions,
        )  # fmt: skip
    started = time.perf_counter()
    index = Index(KnowledgeBase("de", entries))
    built = time.perf_counter() - started
    times = []
    for _ in range(200):
        words = chance.choice(list(entries.values())[:1000]).questions[0].split()
        typed = " ".join(mistyped(word, chance) for word in words)
        times.append(milliseconds(lambda typed=typed: index.match(typed)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    middle, high = np.percentile(times, [50, 95])
    print(f"{size:9,} {built:8.1f} {memory:11.0f} {middle:7.2f} {high:7.2f}", flush=True)


if __name__ == "__main__":
    main()

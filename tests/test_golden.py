"""The golden questions, asked of the shipped knowledge.

A question that gets no right reply stands in `known-misses.txt` until it is mended: a listed one
that turns right, and an unlisted one that turns wrong, both fail.  After a change of the knowledge
or the matching, look at the figures, then bless them:

    python -m bench.figures --bless
"""

from __future__ import annotations

import pytest

from bench.figures import BLESSED, GOOD, judged, known_misses
from bench.questions import FOLDERS, read


def test_golden_questions() -> None:
    missed = {(folder.name, question.q) for folder, question, said in judged() if said not in GOOD}
    listed = known_misses()
    fresh = sorted(missed - listed)
    mended = sorted(listed - missed)
    assert not fresh, f"{len(fresh)} golden questions turned wrong, e.g. {fresh[:5]}"
    assert not mended, f"{len(mended)} turned right; take them out of {BLESSED}: {mended[:5]}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_most_golden_questions_get_a_right_reply(folder: object) -> None:
    said = [verdict for place, _, verdict in judged() if place == folder]
    assert sum(verdict in GOOD for verdict in said) >= 0.8 * len(said)


def test_a_wrong_reply_is_rare() -> None:
    said = [verdict for _, _, verdict in judged()]
    assert said.count("wrong") <= 0.03 * len(said)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_golden_question_stands_twice(folder: object) -> None:
    asked = [question.q for question in read(folder)]  # type: ignore[arg-type]
    assert len(asked) == len(set(asked))

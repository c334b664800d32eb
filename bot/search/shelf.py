"""Keeps on disk what was worked out of a base, so that the next start need not do it again.

Only a copy: whatever is wrong with the folder or a file, the index is built afresh.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.content.knowledge import KnowledgeBase
from bot.search import language, learning, vectors, vocabulary
from bot.search.learning import Learned, Lesson, Postings, learned
from bot.search.matching import Index
from bot.search.vectors import Lexicon

CACHE_DIR = "LOTSE_CACHE_DIR"
KEPT = 4  # copies; the one used longest ago goes first
_CODE = (language, vocabulary, vectors, learning)

Arrays = Mapping[str, npt.NDArray[np.generic]]


def index_of(base: KnowledgeBase) -> Index:
    """The index of a base that was read from files (its `revision` stands for its contents)."""
    path = folder() / f"{_fingerprint(base)}.npz"
    known = _read(path)
    if known is None:
        known = learned(base)
        _write(path, known)
    return Index(base, known)


def folder() -> Path:
    """Where the copies lie: `LOTSE_CACHE_DIR`, else the user's folder for such things."""
    if own := os.environ.get(CACHE_DIR):
        return Path(own)
    usual = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(usual) / "ozg-lotse"


def _fingerprint(base: KnowledgeBase) -> str:
    """Changes with the knowledge, with the code that works it out, and with numpy."""
    digest = hashlib.sha256(f"{base.revision} {base.language} {np.__version__}".encode())
    code = [Path(str(module.__file__)) for module in _CODE]
    for path in (*code, *sorted(language.TABLES.glob("*.txt"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _read(path: Path) -> Learned | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            known = _unpacked(arrays)
        os.utime(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return known


def _write(path: Path, known: Learned) -> None:
    """Whole or not at all, for this user only; never an error."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                arrays: Any = _packed(known)
                np.savez(file, **arrays)
                file.close()
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
        copies = sorted(path.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime)
        for old in copies[:-KEPT]:
            old.unlink()


def _packed(known: Learned) -> dict[str, npt.NDArray[np.generic]]:
    lexicon, postings = known.lexicon, known.postings
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "owners": known.owners,
        "stems": _text(lexicon.stems),
        "counts": np.array([*lexicon.stems.values()], np.int64),
        "pairs": _text(lexicon.pairs),
        "grams": _text(lexicon.grams),
        "word_rarity": lexicon.word_rarity,
        "gram_rarity": lexicon.gram_rarity,
        "starts": postings.starts,
        "rows": postings.rows,
        "weights": postings.weights,
        "terms": np.concatenate([np.zeros(0, np.int32), *known.terms]),
        "terms_of_entry": np.array([len(terms) for terms in known.terms], np.int64),
        "literal": _text(known.literal),
        "literal_owners": np.array([*known.literal.values()], np.int64),
    }
    if known.lesson:
        arrays["examples"] = known.lesson.examples
        arrays["lengths"] = known.lesson.lengths
        arrays["lesson"] = known.lesson.weights
    return arrays


def _unpacked(arrays: Arrays) -> Learned:
    """Raises `KeyError` or `ValueError` where something is missing or does not fit."""
    owners = arrays["owners"]
    lexicon = Lexicon(
        stems=dict(zip(_lines(arrays["stems"]), arrays["counts"].tolist(), strict=True)),
        pairs={pair: i for i, pair in enumerate(_lines(arrays["pairs"]), len(arrays["counts"]))},
        grams={gram: i for i, gram in enumerate(_lines(arrays["grams"]))},
        word_rarity=arrays["word_rarity"].astype(np.float32, copy=False),
        gram_rarity=arrays["gram_rarity"].astype(np.float32, copy=False),
        phrasings=len(owners),
    )
    cuts = np.cumsum(arrays["terms_of_entry"])[:-1]
    lesson = None
    if "lesson" in arrays:
        lesson = Lesson(
            arrays["examples"].astype(np.int32, copy=False),
            arrays["lengths"].astype(np.float32, copy=False),
            arrays["lesson"].astype(np.float32, copy=False),
        )
    literal = zip(_lines(arrays["literal"]), arrays["literal_owners"].tolist(), strict=True)
    return Learned(
        owners.astype(np.int32, copy=False),
        lexicon,
        Postings(
            arrays["starts"].astype(np.int64, copy=False),
            arrays["rows"].astype(np.int32, copy=False),
            arrays["weights"].astype(np.float32, copy=False),
        ),
        tuple(np.split(arrays["terms"].astype(np.int32, copy=False), cuts)),
        lesson,
        dict(literal),
    )


def _text(names: Iterable[str]) -> npt.NDArray[np.generic]:
    """Folded words, which hold no line break, in one array of bytes."""
    return np.frombuffer("\n".join(names).encode(), np.uint8)


def _lines(text: npt.NDArray[np.generic]) -> list[str]:
    return text.tobytes().decode().split("\n") if len(text) else []

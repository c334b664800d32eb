"""Takes a message apart: sentences, several questions, what of a mail is the question.  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.search import language
from bot.talk.cues import Cues

LONG = 240
"""Characters from which a text is a mail: its question must be found first."""

MAX_SENTENCES = 500

_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.)]|[a-z]\))\s+(?=\w)")
_SALUTATION = re.compile(
    r"^(?:sehr\s+geehrte|liebe[rs]?\b|hallo\b|hi\b|moin\b|guten\s+(?:tag|morgen|abend)|werte[rs]?\b"
    r"|dear\b|hello\b)[^,!?.]{0,60}[,!.]?\s*",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(
    r"^(?:(?:mit\s+)?(?:freundlich|best|herzlich|vielen?|lieb|sch(?:ö|oe)n)\w*\s+"
    r"(?:gr(?:ü|ue)(?:ß|ss)\w*|dank)\b|mfg\b|vg\b|lg\b|(?:danke|dank)\s+(?:im\s+voraus|vorab|f(?:ü|ue)r)"
    r"|viele\s+gr|i\.\s?a\.|im\s+auftrag|kind\s+regards|best\s+regards|thanks\s+in\s+advance)",
    re.IGNORECASE,
)
_QUESTION = (
    r"(?:an\s+wen|wer|wen|wem|was|wie|wo|wann|warum|wieso|weshalb|wohin|woher|wozu|womit"
    r"|wof(?:ü|ue)r|welche[rsnm]?|wieviele?|gibt\s+es|muss|m(?:ü|ue)ssen|brauch\w*|kann"
    r"|k(?:ö|oe)nnen|darf|d(?:ü|ue)rfen|who|what|how|where|when|why|which)\b"
)
_AND = re.compile(
    r"\s?[,;]?\s(?:und|sowie|au(?:ß|ss)erdem|zudem|and|also)\s"
    rf"(?:(?:au(?:ß|ss)erdem|dann|noch)\s)?(?={_QUESTION})",
    re.IGNORECASE,
)
_COMMA = re.compile(rf",\s(?={_QUESTION})", re.IGNORECASE)
_OR = re.compile(r",?\s(?:oder|or)\s", re.IGNORECASE)
_ANNOUNCED = re.compile(r"^[^:?]{0,80}\b(?:fragen?|questions?)\s?:\s", re.IGNORECASE)
_BEGINS = re.compile(_QUESTION, re.IGNORECASE)
_CONJUNCTIONS = ("und", "aber", "also", "and", "but")
_ASKS = re.compile(r"\?\s*$")


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    asks: bool  # a question by its sign or its first word


def sentences(text: str, cues: Cues) -> list[Sentence]:
    """The sentences in their order, without salutation, sign-off and what follows it."""
    found: list[Sentence] = []
    for piece in language.sentences(text)[:MAX_SENTENCES]:
        piece = _LIST_MARK.sub("", piece).strip()
        if found and _SIGN_OFF.match(piece):
            break
        without = _SALUTATION.sub("", piece).strip()
        piece = without or ("" if found else piece)
        if re.search(r"[^\W\d_]", piece):
            found.append(Sentence(piece, _asks(piece, cues)))
    return found


def _asks(sentence: str, cues: Cues) -> bool:
    first = cues.tokens(sentence[:40])[:2]
    if first and first[0] in _CONJUNCTIONS:
        first = first[1:]
    begins = "asking" if sentence.endswith("!") else "question"  # „Hat geklappt!“ asks nothing
    return bool(_ASKS.search(sentence)) or cues.has(begins, first[:1])


def coordinated(sentence: str) -> list[str]:
    """A sentence cut before each „und“ that begins another question.

    In such an enumeration the commas before questions count as well.  What only announces
    them („Wir haben zwei Fragen: …“) is left out.
    """
    sentence = _ANNOUNCED.sub("", sentence)
    joined = _AND.split(sentence)
    if len(joined) == 1:
        return [sentence.strip()]
    parts = [p for part in joined for p in (_COMMA.split(part) if _BEGINS.match(part) else [part])]
    return [p.strip() for p in parts if p.strip()]


def alternatives(sentence: str) -> tuple[bool, list[str]]:
    """What is to be chosen from, and whether „oder“ says so or it is just two words."""
    text = sentence.strip(" ?!.")
    parts = [p.strip(" ,") for p in _OR.split(text)]
    if len(parts) > 1:
        return True, parts
    return False, text.split() if text.count(" ") == 1 else []


def without_preface(sentence: str) -> str:
    """„Mein Chef will wissen, wohin …?“ is the question „wohin …?“; any other stays whole."""
    first, *asked = _COMMA.split(sentence, maxsplit=1)
    return asked[0] if asked and not _BEGINS.match(first) else sentence

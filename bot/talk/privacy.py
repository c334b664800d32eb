"""Masks personal data in what people write, before anything is stored.  Pure.

A mask keeps its place in the sentence, so the question stays a question, and a masked
text masks to itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAIL, FILE, PHONE, NAME = "mail", "file", "phone", "name"

MASKS = {
    MAIL: "[E-Mail-Adresse]",
    FILE: "[Aktenzeichen]",
    PHONE: "[Telefonnummer]",
    NAME: "[Name]",
}

_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}")
_FILE = re.compile(
    r"\b(?P<label>(?i:aktenzeichen|az|gesch(?:ä|ae)ftszeichen|gz|vorgangsnummer|vorgangs-?nr"
    r"|kassenzeichen|steuernummer|steuer-?nr|steuer-?id)\b\.?(?:\s{0,2}(?:nr\.?|lautet|ist))?"
    r"\s{0,2}[:#]?\s{0,2})"
    r"(?=[A-Za-zÄÖÜäöü./-]{0,12}[\s-]?\d)[\w./-]{1,30}(?:\s(?:[A-Z]{1,3}\s)?[\d./-]{1,20}){0,3}"
)
_FILE_BY_SHAPE = re.compile(r"(?<![\w/.,-])\d{1,4}(?:[.-]\d{1,6}){1,4}/\d{2,4}(?![\w/-])")
_PHONE = re.compile(
    r"(?<![\w.,/§-])"
    r"(?:(?:\+|00)\d{1,3}[\s./-]{0,2}(?:\(0\)\s?)?|\(?0)(?!\d?\.\d)\d{1,5}\)?"
    r"(?:[\s/-]{0,3}\d{2,8}){1,5}(?![\w.,/-]?\d)"
)
_NAME = re.compile(
    r"\b(?P<label>(?:Herrn?|Frau|Hr\.|Fr\.)\s{1,3}(?:(?:Dr|Prof)\.\s{0,2}){0,3})"
    r"[A-ZÄÖÜ][\w'’-]{1,40}(?:\s[A-ZÄÖÜ][\w'’-]{1,40})?"
)
_PATTERNS = (
    (MAIL, _MAIL),
    (FILE, _FILE),
    (FILE, _FILE_BY_SHAPE),
    (NAME, _NAME),
    (PHONE, _PHONE),
)
_FEWEST_DIGITS_OF_A_PHONE = 6


@dataclass(frozen=True, slots=True)
class Masked:
    text: str
    kinds: tuple[str, ...]  # what was masked, now or before: mail, file, phone, name


def mask(text: str, keep: Iterable[str] = ()) -> Masked:
    """Replace mail addresses, phone and file numbers and names after Herr/Frau.

    `keep` are the public contacts of the knowledge, which are no secret.
    """
    public = {_bare(k) for k in keep}
    for kind, pattern in _PATTERNS:

        def masked(found: re.Match[str], kind: str = kind) -> str:
            whole = found.group()
            if _bare(whole) in public or (kind == PHONE and not _is_phone(whole)):
                return whole
            return found.groupdict().get("label", "") + MASKS[kind]

        text = pattern.sub(masked, text)
    return Masked(text, tuple(kind for kind, shown in MASKS.items() if shown in text))


def without_masks(text: str) -> str:
    """The text without the places of what was masked: they say nothing of what is asked."""
    for shown in MASKS.values():
        text = text.replace(shown, "")
    return text


def _bare(text: str) -> str:
    """Comparable form of an address or number: no case, no separators, national prefix."""
    bare = re.sub(r"[\s()/.-]", "", text.lower()) if "@" not in text else text.lower()
    return re.sub(r"^(?:\+|00)49", "0", bare)


def _is_phone(text: str) -> bool:
    return sum(c.isdigit() for c in text) >= _FEWEST_DIGITS_OF_A_PHONE

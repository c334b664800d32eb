"""What German and English words have in common: normalising, stems, numbers, edit distance.

Pure: text in, text out.  The same text comes out for ä, ae and a, for upper and lower case
and for every Unicode form.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import Stemmer

from bot.content.knowledge import Language

MAX_CHARACTERS = 20_000
"""Longer questions are cut here before any work is done on them."""

TABLES = Path(__file__).with_name("words")

_WORD = re.compile(r"[^\W_]+")
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})[.,\u2009\u202f ](\d{3})(?![\d])")
_HOW_MANY = re.compile(r"\bwie(viel(?:e[nrs]?)?)\b")  # one word or two, both are written
_DIGRAPHS = re.compile(r"(a)e|(o)e|(?<![aeq])(u)e")
_FOLDED = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ß": "ss"})
_DOTTED = re.compile(r"(?<![^\W\d_])([^\W\d_]{1,40})\.")
_SENTENCE_END = re.compile(
    r"(?<=[!?…])\s+|;\s+|(?<=\?)(?=[A-ZÄÖÜ])|(?<=\D\.)\s+(?=[A-ZÄÖÜ0-9„\"])"
    r"|(?<=\d\.)\s+(?=(?!Jan|Feb|Mär|Maer|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)[A-ZÄÖÜ])"
)
_SOUNDS = tuple(
    (re.compile(written), sound)
    for written, sound in (
        ("ph|v|pf", "f"),
        ("th|dt|d", "t"),
        ("chs|x", "ks"),
        ("(?<!s)ch", "h"),  # kept apart from k; "sch" stays
        ("ck|[cgq]", "k"),
        ("b", "p"),
        ("tz|ts|z", "s"),
        ("a[iy]|ey", "ei"),
        ("oi|oy", "eu"),
        ("ie|y", "i"),
        ("(?<=[aeiou])h(?=[^aeiou]|$)", ""),
        (r"(.)\1+", r"\1"),
    )
)
_ABBREVIATIONS = frozenset(
    ("abs", "art", "bzw", "ca", "dr", "etc", "ggf", "lt", "nr", "usw", "vgl")
)
_SHORTEST_SENTENCE = 3  # words
_NO_ABBREVIATION = 8  # letters; a shorter word before a full stop must be a known one
_UNSEEN = frozenset(("Cf", "Cc", "Cs", "Co", "Cn"))
_MAX_WORD = 40


def clean(text: str) -> str:
    """Cap, NFKC, drop what cannot be seen, cap again; all white space becomes single spaces.

    >>> clean("Pha\\u200bse\\u00a02")
    'Phase 2'
    """
    text = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS])[:MAX_CHARACTERS]
    text = " ".join(text.split())
    if text.isprintable():
        return text
    seen = "".join(c for c in text if unicodedata.category(c) not in _UNSEEN)
    return " ".join(seen.split())


def fold(text: str) -> str:
    """One spelling for ä, ae and a, ö, oe and o, ü, ue and u, ß and ss; lower case, no accents.

    "ue" after a, e or q is no umlaut (neue, Dauer, Quelle) and stays.

    >>> fold("Prüfung"), fold("PRUEFUNG"), fold("Straße"), fold("neue Quelle")
    ('prufung', 'prufung', 'strasse', 'neue quelle')
    """
    text = unicodedata.normalize("NFC", text.casefold()).translate(_FOLDED)
    if not text.isascii():
        decomposed = unicodedata.normalize("NFD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    return _DIGRAPHS.sub(lambda m: m[1] or m[2] or m[3], text)


def words(text: str, language: Language = "de") -> list[str]:
    """The folded words of a text in their order, numbers written as digits.

    >>> words("Was kostet die zweite Phase?")
    ['was', 'kostet', 'die', '2', 'phase']
    >>> words("Wieviele Phasen?")
    ['wie', 'viele', 'phasen']
    >>> words("7.416 LeiKa-Leistungen")
    ['7416', 'leika', 'leistungen']
    """
    folded = _HOW_MANY.sub(r"wie \1", _THOUSANDS.sub(r"\1\2", fold(clean(text))))
    numbers = _NUMBERS[language]
    return [numbers.get(w, w)[:_MAX_WORD] for w in _WORD.findall(folded)]


def abbreviations(text: str) -> frozenset[str]:
    """The folded words that a full stop follows: perhaps abbreviations.

    >>> sorted(abbreviations("Ph. 4, Aufg.?"))
    ['aufg', 'ph']
    """
    return frozenset(_DOTTED.findall(fold(clean(text))))


def sentences(text: str, language: Language = "de") -> list[str]:
    r"""A text cut at line breaks and at the ends of sentences, in order, none empty.

    A full stop ends a sentence only after at least three words, the last of them
    no abbreviation.

    >>> sentences("Guten Tag,\nder AVV ist da. Was ist EfA? Danke!")
    ['Guten Tag,', 'der AVV ist da.', 'Was ist EfA?', 'Danke!']
    >>> sentences("Erste Prüf. Rahmenbed. in ST: Ph.?")
    ['Erste Prüf. Rahmenbed. in ST: Ph.?']
    """
    found: list[str] = []
    for line in re.split(r"\n+", text):
        pending = ""
        for piece in _SENTENCE_END.split(line):
            pending = f"{pending} {piece}".strip()
            if _is_whole(pending, language):
                found.append(pending)
                pending = ""
        found.append(pending)
    return [sentence for sentence in found if sentence]


def _is_whole(sentence: str, language: Language) -> bool:
    if not sentence.endswith("."):
        return bool(sentence)
    last = fold(sentence[sentence.rfind(" ") + 1 : -1])
    if sentence.count(" ") + 1 < _SHORTEST_SENTENCE or last in _ABBREVIATIONS:
        return False
    return last.isdigit() or last in frequencies(language) or len(last) >= _NO_ABBREVIATION


@functools.lru_cache(maxsize=50_000)
def stem(word: str, language: Language = "de") -> str:
    """The Snowball stem of a folded word; words with digits stay as they are.

    >>> stem("leistungen"), stem("leistung")
    ('leistung', 'leistung')
    """
    if len(word) < 4 or not word.isalpha():
        return word
    return str(_STEMMERS[language].stemWord(word))


def spoken(word: str) -> str:
    """How a folded German word sounds, roughly: what is written by ear gets the same key.

    >>> spoken("phasen") == spoken("fasen"), spoken("leistung") == spoken("laistunk")
    (True, True)
    >>> spoken("digital") == spoken("dikital"), spoken("phase") == spoken("phrase")
    (True, False)
    """
    for written, sound in _SOUNDS:
        word = written.sub(sound, word)
    return word


def allowed_edits(length: int) -> int:
    """How many typing errors a word of this length may have: 0 to 3.

    >>> [allowed_edits(n) for n in (3, 4, 7, 12)]
    [0, 1, 2, 3]
    """
    return 0 if length <= 3 else 1 if length <= 6 else 2 if length <= 11 else 3


def is_stopword(word: str, language: Language = "de") -> bool:
    """Whether a folded word carries almost no meaning of its own."""
    return word in _stopwords(language)


@functools.cache
def frequencies(language: Language) -> Mapping[str, float]:
    """Zipf frequency (log10 per billion words, about 1 to 7.7) of the commonest folded words."""
    pairs = (line.split("\t") for line in _table(f"frequencies-{language}").splitlines())
    return {word: int(tenths) / 10 for word, tenths in pairs}


@functools.cache
def _stopwords(language: Language) -> frozenset[str]:
    """Function words.  Question words (wer, wann, wo) are in: they weigh little, not nothing."""
    return frozenset(_table(f"stopwords-{language}").split())


def _table(name: str) -> str:
    return (TABLES / f"{name}.txt").read_text(encoding="utf-8")


_STEMMERS = {"de": Stemmer.Stemmer("german"), "en": Stemmer.Stemmer("english")}

# fmt: off
_CARDINALS = ("null", "eins", "zwei", "drei", "vier", "funf", "sechs", "sieben", "acht", "neun",
              "zehn", "elf", "zwolf")
_ORDINALS = ("erst", "zweit", "dritt", "viert", "funft", "sechst", "siebt", "acht", "neunt",
             "zehnt")
_ENGLISH_CARDINALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
                      "nine", "ten", "eleven", "twelve")
_ENGLISH_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
                     "ninth", "tenth")
# fmt: on
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "vi": "6"}
_GERMAN_NUMBERS = {
    **{word: str(n) for n, word in enumerate(_CARDINALS)},
    **{
        word + ending: str(n)
        for n, word in enumerate(_ORDINALS, 1)
        for ending in ("e", "er", "en", "es", "em", "ens")
    },
    **dict.fromkeys(("zwo", "zwote", "zwoten"), "2"),
    **_ROMAN,
}
_ENGLISH_NUMBERS = {
    **{word: str(n) for n, word in enumerate(_ENGLISH_CARDINALS)},
    **{word: str(n) for n, word in enumerate(_ENGLISH_ORDINALS, 1)},
}
_AMBIGUOUS_IN_GERMAN = {"one", "second"}
_NUMBERS: Mapping[Language, Mapping[str, str]] = {
    "de": {
        **{word: n for word, n in _ENGLISH_NUMBERS.items() if word not in _AMBIGUOUS_IN_GERMAN},
        **_GERMAN_NUMBERS,
    },
    "en": _ENGLISH_NUMBERS,
}

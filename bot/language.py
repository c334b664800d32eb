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

from bot.knowledge import Language

MAX_CHARACTERS = 4_000
"""Longer questions are cut here before any work is done on them."""

_WORD = re.compile(r"[^\W_]+")
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})[.,\u2009\u202f ](\d{3})(?![\d])")
_DIGRAPHS = re.compile(r"(a)e|(o)e|(?<![aeq])(u)e")
_FOLDED = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ß": "ss"})
_DOTTED = re.compile(r"([^\W\d_]+)\.")
_SENTENCE_END = re.compile(r"\n+|(?<=[?!])\s+|(?<=[^\W\d_]{3}\.)\s+")
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
    return "".join(c for c in text if unicodedata.category(c) not in _UNSEEN)


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
    >>> words("7.416 LeiKa-Leistungen")
    ['7416', 'leika', 'leistungen']
    """
    folded = _THOUSANDS.sub(r"\1\2", fold(clean(text)))
    numbers = _NUMBERS[language]
    return [numbers.get(w, w)[:_MAX_WORD] for w in _WORD.findall(folded)]


def abbreviations(text: str) -> frozenset[str]:
    """The folded words that a full stop follows: perhaps abbreviations.

    >>> sorted(abbreviations("Ph. 4, Aufg.?"))
    ['aufg', 'ph']
    """
    return frozenset(_DOTTED.findall(fold(clean(text))))


def sentences(text: str) -> list[str]:
    r"""A text cut at line breaks and at the ends of sentences, in order, none empty.

    >>> sentences("Guten Tag,\nwas ist EfA? Danke!")
    ['Guten Tag,', 'was ist EfA?', 'Danke!']
    """
    return [s for s in (part.strip() for part in _SENTENCE_END.split(text)) if s]


@functools.lru_cache(maxsize=50_000)
def stem(word: str, language: Language = "de") -> str:
    """The Snowball stem of a folded word; words with digits stay as they are.

    >>> stem("leistungen"), stem("leistung")
    ('leistung', 'leistung')
    """
    if len(word) < 4 or not word.isalpha():
        return word
    return str(_STEMMERS[language].stemWord(word))


def allowed_edits(length: int) -> int:
    """How many typing errors a word of this length may have: 0 to 3.

    >>> [allowed_edits(n) for n in (3, 4, 7, 12)]
    [0, 1, 2, 3]
    """
    return 0 if length <= 3 else 1 if length <= 6 else 2 if length <= 11 else 3


def is_stopword(word: str, language: Language = "de") -> bool:
    """Whether a folded word carries almost no meaning of its own."""
    return word in _STOPWORDS[language]


@functools.cache
def frequencies(language: Language) -> Mapping[str, float]:
    """Zipf frequency (log10 per billion words, about 1 to 7.7) of the commonest folded words."""
    table = Path(__file__).with_name("frequencies") / f"{language}.txt"
    pairs = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    return {word: int(tenths) / 10 for word, tenths in pairs}


_STEMMERS = {"de": Stemmer.Stemmer("german"), "en": Stemmer.Stemmer("english")}

_ORDINAL_ENDINGS = ("", "e", "er", "en", "es", "em")
_GERMAN_NUMBERS = {
    **{w: str(n) for n, w in enumerate(
        "null eins zwei drei vier funf sechs sieben acht neun zehn elf zwolf".split())},
    **{f"{w}{ending}": str(n)
       for n, w in enumerate("erst zweit dritt viert funft sechst siebt acht neunt zehnt".split(), 1)
       for ending in _ORDINAL_ENDINGS[1:]},
    "zwo": "2", "zwote": "2", "zwoten": "2", "erstens": "1", "zweitens": "2", "drittens": "3",
    "ii": "2", "iii": "3", "iv": "4", "vi": "6",
}  # fmt: skip
_ENGLISH_NUMBERS = {
    **{w: str(n) for n, w in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split())},
    **{w: str(n) for n, w in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth".split(), 1)},
}  # fmt: skip
_NUMBERS: Mapping[Language, Mapping[str, str]] = {
    "de": {**{w: n for w, n in _ENGLISH_NUMBERS.items() if w not in {"one", "second"}}, **_GERMAN_NUMBERS},
    "en": _ENGLISH_NUMBERS,
}

# Function words only.  Question words (wer, wann, wo) are in: they weigh little, not nothing.
_GERMAN_STOPWORDS = """
ab aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes andern auch auf aus
bei beim bereits bin bis bist bitte bitten bzw da dabei dadurch dafur daher damit danach dann daran darauf daraus darf
darfst darin daruber darum darunter das dass davon davor dazu dein deine deinem deinen deiner dem den denen denn der
deren derer des deshalb dessen dich die dies diese dieselbe diesem diesen dieser dieses dir doch dort du durch durfen
durft eben ebenso eigentlich ein eine einem einen einer eines einfach einige einigen einmal er es etwa etwas euch euer
eure eurem euren eurer fur gar geben gegen geht genau gern gerne gerade gibt gibts gilt habe haben habt hallo hat hatte
hatten hattest hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in indem ins ist irgend irgendein
irgendwie ja jede jedem jeden jeder jedes jene jenem jenen jener jenes jetzt kann kannst konnen konnt konnte konnten kurz
leider mal man manche mehr mein meine meinem meinen meiner mich mir mit moglich mochte mochten muss mussen musst musste
nach neben nein nicht nichts noch nun nur ob oder ohne schon sehr sei seid sein seine seinem seinen seiner seit selbst
selber sich sie sind so sollen soll sollte sollten solche solchem solchen somit sonst sowie statt trotz uber um und uns
unser unsere unserem unseren unserer unter vom von vor wahrend war waren was wegen weil weiter welche welchem welchen
welcher welches wem wen wenn wer werde werden wessen wie wieder wieso will wir wird wo wobei wofur woher wohin womit
woran worauf woraus worin woruber worum wovon wozu wollen wollt wollte wurde wurden zu zum zur zwar zwischen bitt mach
machen macht danke guten tag moin servus liebe grusse sehr geehrte geehrter damen herren sagen sage sag wissen weiss
the a an of for to in on is are what how do does please can we i you and
""".split()
_ENGLISH_STOPWORDS = """
a about above after again all also am an and any are as at be because been before being below between both but by can
cannot could did do does doing down during each few for from further get give had has have having he her here hers him
his how i if im in into is it its itself just kindly know let like m me more most my myself no nor not now of off on
once only or other our ours out over own please pls re s same she should so some such t tell than that the their theirs
them then there these they this those through to too under until up us very want was we were what when where which while
who whom why will with would you your yours hi hello hey thanks thank u r ur
""".split()
_STOPWORDS: Mapping[Language, frozenset[str]] = {
    "de": frozenset(map(fold, _GERMAN_STOPWORDS)),
    "en": frozenset(_ENGLISH_STOPWORDS),
}

"""What `lotse check` looks for beyond the schema: one list of small named functions.

A check looks at a `Subject` and yields `Finding`s.  `BREAKING` ones would break a reply and keep
a folder out of force (FEHLER); `ADVISORY` ones are for the editor to weigh (WARNUNG).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any

from rapidfuzz import fuzz

from bot.content.knowledge import (
    Contact,
    Entry,
    Kind,
    KnowledgeFile,
    Level,
    Loaded,
    Problem,
    Series,
    SourceDocument,
    SourceFile,
    Status,
    shipped_words,
    suggest,
)
from bot.content.yamltext import Path, Position
from bot.markup import allowed, foreign, plain_text, refused

MAX_ANSWER = 900  # characters of the plain answer; the rest belongs into the passage
COMMON_KEYWORD = 8  # entries that may share a keyword; beyond, it separates nothing
SHORTEST_ALIKE = 16  # characters; in shorter questions a single letter may be the point
NEAR_DUPLICATE = 95  # percent of `fuzz.ratio` over the sorted words
PROVEN = 0.25  # share of a proof's words that the entry must say itself

_URL = re.compile(r"https?://\S+")
_ANY_LETTER = "A-Za-zÄÖÜäöüß"
_DIGIT_IN_WORD = re.compile(  # „0zg“, „Au l3en“, „Pr0jekt“
    rf"(?<![\w.-])0[{_ANY_LETTER}]{{2}}[\w@.-]*|\b[{_ANY_LETTER}]+(?:l3|[01])[a-zäöüß][\w-]*"
)
_DOTTED = (
    "für", "über", "länder", "möglich", "können", "müssen", "prüfung", "prüfen", "führung",
    "behörde", "gebühr", "zuständig", "öffentlich", "verfügbar", "unabhängig", "unterstütz",
    "tätig", "ergänz", "rückmeldung", "schlüssel", "verknüpf", "übersicht", "übernahm",
)  # fmt: skip
_DOTS = str.maketrans("äöü", "aou")
_LOST_DOTS = {word.translate(_DOTS): word for word in _DOTTED}
_LOST_DOTS_IN = re.compile(
    rf"\b(?:fur|uber|lander|\w*(?:{'|'.join(w for w in _LOST_DOTS if len(w) > 6)})\w*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a file."""

    file: SourceFile
    path: Path

    def __truediv__(self, step: str | int) -> Place:
        return Place(self.file, (*self.path, step))

    @property
    def position(self) -> Position:
        return self.file.document.position(self.path)

    def __str__(self) -> str:
        return f"{self.file.path}:{self.position.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    place: Place
    text: str  # German: what is wrong, and what to do

    def problem(self, level: Level) -> Problem:
        field = next((p for p in reversed(self.place.path) if isinstance(p, str)), "")
        return Problem(self.place.file.path, self.place.position, level, field, self.text)


@dataclass(frozen=True)
class Subject:
    """The files of one folder as the checks see them, drafts included."""

    files: tuple[SourceFile, ...]
    today: date
    whole: bool = True  # False where a file is unreadable: a reference may point into it

    @cached_property
    def entries(self) -> Sequence[tuple[Place, Entry]]:
        return self._items(lambda c: c.entries, "entries")

    @cached_property
    def series(self) -> Sequence[tuple[Place, Series]]:
        return self._items(lambda c: c.series, "series")

    @cached_property
    def documents(self) -> Sequence[tuple[Place, SourceDocument]]:
        return self._items(lambda c: c.documents, "documents")

    @cached_property
    def contacts(self) -> Sequence[tuple[Place, Contact]]:
        return self._items(lambda c: c.contacts, "contacts")

    @cached_property
    def questions(self) -> Sequence[tuple[Place, str, str]]:
        """Place, entry and text of every question, also those in files of their own."""
        own = [
            (place / "questions" / number, entry.id, text)
            for place, entry in self.entries
            for number, text in enumerate(entry.questions)
        ]
        further = [
            (place / "phrasings" / name / number, name, text)
            for place, content in self.contents()
            for name, texts in content.phrasings.items()
            for number, text in enumerate(texts)
        ]
        return own + further

    def ids(self, kind: str) -> frozenset[str]:
        """All ids of a kind, also those in files that the schema refuses."""
        raw = (f.document.data for f in self.files)
        lists = (d.get(kind) for d in raw if isinstance(d, dict))
        items = (item for found in lists if isinstance(found, list) for item in found)
        return frozenset(str(i["id"]) for i in items if isinstance(i, dict) and "id" in i)

    def contents(self) -> Iterator[tuple[Place, KnowledgeFile]]:
        return ((Place(f, ()), f.content) for f in self.files if f.content)

    def _items(
        self, pick: Callable[[KnowledgeFile], Sequence[Any]], name: str
    ) -> Sequence[tuple[Place, Any]]:
        return [
            (place / name / number, item)
            for place, content in self.contents()
            for number, item in enumerate(pick(content))
        ]


Check = Callable[[Subject], Iterator[Finding]]


# --- what would break a reply ---------------------------------------------------


def has_entries(subject: Subject) -> Iterator[Finding]:
    if subject.whole and subject.files and not subject.ids("entries"):
        yield Finding(
            Place(subject.files[0], ()), "Im ganzen Ordner steht kein Eintrag („entries“)."
        )


def ids_are_unique(subject: Subject) -> Iterator[Finding]:
    for items in (subject.entries, subject.series, subject.documents, subject.contacts):
        first: dict[str, Place] = {}
        for place, item in items:
            if item.id in first:
                yield Finding(place / "id", f"„{item.id}“ gibt es schon in {first[item.id]}.")
            first.setdefault(item.id, place)


def entries_exist(subject: Subject) -> Iterator[Finding]:
    wanted = [
        *(reference for place, entry in subject.entries for reference in _links(place, entry)),
        *(reference for place, series in subject.series for reference in _members(place, series)),
        *((p / "phrasings" / name, name) for p, c in subject.contents() for name in c.phrasings),
    ]
    yield from _unknown(subject, "entries", wanted)


def documents_exist(subject: Subject) -> Iterator[Finding]:
    wanted = (
        (place / "sources" / number / "document", source.document)
        for place, entry in subject.entries
        for number, source in enumerate(entry.sources)
    )
    yield from _unknown(subject, "documents", wanted)


def contacts_exist(subject: Subject) -> Iterator[Finding]:
    wanted = (
        (place / "contacts" / number, contact)
        for place, entry in subject.entries
        for number, contact in enumerate(entry.contacts)
    )
    yield from _unknown(subject, "contacts", wanted)


def links_are_allowed(subject: Subject) -> Iterator[Finding]:
    for place, text in _markdown(subject):
        for target in refused(text):
            yield Finding(place, f"Der Verweis auf „{target}“ ist nicht erlaubt. {_ALLOWED}")
    urls = [
        *((place / "url", document.url) for place, document in subject.documents),
        *((place / "url", contact.url) for place, contact in subject.contacts),
    ]
    for place, url in urls:
        if url and (not allowed(url) or url.startswith("mailto:")):
            yield Finding(place, f"„{url}“ ist keine Adresse mit https:// oder http://.")


_ALLOWED = "Erlaubt sind https://, http:// und mailto:."


def _unknown(subject: Subject, kind: str, wanted: Iterable[tuple[Place, str]]) -> Iterator[Finding]:
    known = subject.ids(kind)
    for place, name in wanted:
        if subject.whole and name not in known:
            yield Finding(place, f"„{name}“ gibt es nicht.{suggest(name, known)}")


def _links(place: Place, entry: Entry) -> Iterator[tuple[Place, str]]:
    for name, target in entry.links:
        if target:
            yield place / "links" / name, target
    for number, target in enumerate(entry.related):
        yield place / "related" / number, target


def _members(place: Place, series: Series) -> Iterator[tuple[Place, str]]:
    for name in ("entries", "unordered"):
        for number, target in enumerate(getattr(series, name)):
            yield place / name / number, target


def _markdown(subject: Subject) -> Iterator[tuple[Place, str]]:
    """Every text that is shown as Markdown."""
    for place, entry in subject.entries:
        yield place / "answer", entry.answer
        if entry.passage:
            yield place / "passage", entry.passage
        for number, source in enumerate(entry.sources):
            if source.quote:
                yield place / "sources" / number / "quote", source.quote
    for place, content in subject.contents():
        for name, text in content.texts.items():
            yield place / "texts" / name, text


# --- what an editor should weigh ------------------------------------------------


def one_language(subject: Subject) -> Iterator[Finding]:
    said = [(p, c.language) for p, c in subject.contents() if c.language]
    for place, language in said[1:]:
        if language != said[0][1]:
            first = said[0][0] / "language"
            yield Finding(place / "language", f"{first} sagt „{said[0][1]}“; das gilt für alle.")


def drafts_are_not_linked(subject: Subject) -> Iterator[Finding]:
    drafts = {e.id for _, e in subject.entries if e.care and e.care.status is Status.DRAFT}
    links = (link for place, entry in subject.entries for link in _links(place, entry))
    members = (member for place, series in subject.series for member in _members(place, series))
    for place, target in (*links, *members):
        if target in drafts:
            yield Finding(place, f"„{target}“ ist ein Entwurf und wird nicht angeboten.")


def links_lead_elsewhere(subject: Subject) -> Iterator[Finding]:
    """`links` may lead back (the costs of the entry on costs), „Weiter“ must not."""
    for place, entry in subject.entries:
        for number, target in enumerate(entry.related):
            if target == entry.id:
                text = "Der Eintrag verweist auf sich selbst."
                yield Finding(place / "related" / number, text)


def series_are_sound(subject: Subject) -> Iterator[Finding]:
    home: dict[str, str] = {}
    for place, series in subject.series:
        for number, target in enumerate(series.entries):
            if target in home:
                text = f"„{target}“ steht schon in der Reihe „{home[target]}“."
                yield Finding(place / "entries" / number, text)
            home.setdefault(target, series.id)
        outside = [t for t in series.unordered if t not in series.entries]
        if outside:
            text = f"„{outside[0]}“ gehört nicht zur Reihe."
            yield Finding(place / "unordered", text)


def series_have_no_gaps(subject: Subject) -> Iterator[Finding]:
    titles = {entry.id: entry.title for _, entry in subject.entries}
    for place, series in subject.series:
        numbers = [_number(titles.get(target, "")) for target in series.entries]
        for index, (one, two) in enumerate(pairwise(numbers), 1):
            if one is not None and two is not None and two != one + 1:
                text = f"Auf Nummer {one} folgt Nummer {two}. Fehlt ein Eintrag der Reihe?"
                yield Finding(place / "entries" / index, text)


def _number(title: str) -> int | None:
    """The number that a step of a series carries: „Phase 2 – Prüfung“ is 2."""
    found = re.match(r"\w+\s+(\d{1,3})\b", title)
    return int(found[1]) if found else None


def entries_have_sources(subject: Subject) -> Iterator[Finding]:
    for place, entry in subject.entries:
        if not entry.sources and entry.kind is Kind.ANSWER:
            yield Finding(place, "Es fehlt die Quelle („sources“).")


def sources_are_settled(subject: Subject) -> Iterator[Finding]:
    for place, entry in subject.entries:
        if entry.care and entry.care.status is Status.DRAFT:
            continue
        for number, source in enumerate(entry.sources):
            if source.uncertain and not source.facts:
                text = (
                    "Die Quelle ist als unsicher markiert, der Eintrag wird trotzdem ausgegeben. "
                    "Erst klären und unter „facts“ festhalten, oder Status „entwurf“."
                )
                yield Finding(place / "sources" / number / "uncertain", text)


def entries_are_cared_for(subject: Subject) -> Iterator[Finding]:
    for place, entry in subject.entries:
        if entry.care is None:
            text = "Es fehlt die Pflege („care“): wer ist zuständig, wann wird wieder geprüft?"
            yield Finding(place, text)
        elif entry.care.checked > subject.today:
            yield Finding(place / "care" / "checked", "Das Prüfdatum liegt in der Zukunft.")
        elif entry.care.review < entry.care.checked:
            text = "Die Wiederprüfung liegt vor der letzten Prüfung."
            yield Finding(place / "care" / "review", text)


def review_is_not_due(subject: Subject) -> Iterator[Finding]:
    for place, entry in subject.entries:
        if entry.care and entry.care.review < subject.today:
            text = f"Seit {entry.care.review:%d.%m.%Y} fällig: bitte prüfen und Datum erneuern."
            yield Finding(place / "care" / "review", text)


def questions_are_unique(subject: Subject) -> Iterator[Finding]:
    seen: dict[str, tuple[Place, str]] = {}
    for place, name, text in subject.questions:
        there, owner = seen.setdefault(_folded(text), (place, name))
        if there is not place:
            where = f"im Eintrag „{owner}“ ({there})" if owner != name else f"in {there}"
            yield Finding(place, f"Diese Frage steht auch {where}.")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of an entry, its words sorted, so that their order does not count."""

    entry: str
    place: Place
    text: str
    words: str
    digits: str  # „Phase 1“ and „Phase 2“ are near, but not meant to be the same


def questions_differ(subject: Subject) -> Iterator[Finding]:
    """Near-duplicates across entries: the same words but for an ending or a letter."""
    buckets: dict[str, list[Asked]] = defaultdict(list)
    for place, name, text in subject.questions:
        words = sorted(_words(text)) if len(text) >= SHORTEST_ALIKE else []
        digits = "".join(c for c in text if c.isdigit())
        for start in {w[:5] for w in words if len(w) > 4}:
            buckets[start].append(Asked(name, place, text, " ".join(words), digits))
    found: dict[tuple[str, Path], Finding] = {}
    for bucket in buckets.values():
        for here, there in _close_pairs(bucket):
            where = f"im Eintrag „{there.entry}“ ({there.place}): „{there.text}“"
            finding = Finding(here.place, f"Fast dieselbe Frage steht {where}.")
            found.setdefault((here.place.file.path, here.place.path), finding)
    yield from found.values()


def _close_pairs(bucket: list[Asked]) -> Iterator[tuple[Asked, Asked]]:
    if len(bucket) > 500:  # a word of half the base is no sign of likeness
        return
    for here, there in combinations(bucket, 2):
        if here.entry == there.entry or here.words == there.words or here.digits != there.digits:
            continue
        if fuzz.ratio(here.words, there.words, score_cutoff=NEAR_DUPLICATE):
            yield there, here


def keywords_separate(subject: Subject) -> Iterator[Finding]:
    users: dict[str, list[Place]] = defaultdict(list)
    for place, entry in subject.entries:
        for number, word in enumerate(entry.keywords):
            users[_folded(word)].append(place / "keywords" / number)
    for places in users.values():
        if len(places) > COMMON_KEYWORD:
            text = f"Das Schlagwort steht in {len(places)} Einträgen und trennt nicht."
            yield from (Finding(place, text) for place in places)


def synonyms_are_unique(subject: Subject) -> Iterator[Finding]:
    seen: dict[str, Place] = {}
    for file, content in subject.contents():
        for group, synonyms in enumerate(content.synonyms):
            for number, word in enumerate(synonyms.words):
                here = file / "synonyms" / group / "words" / number
                if (there := seen.setdefault(_folded(word), here)) is not here:
                    yield Finding(here, f"„{word}“ steht auch in {there}. Bitte zusammenlegen.")


def not_for_is_no_keyword(subject: Subject) -> Iterator[Finding]:
    for place, entry in subject.entries:
        keywords = {_folded(k) for k in entry.keywords}
        for number, word in enumerate(entry.not_for):
            if _folded(word) in keywords:
                text = f"„{word}“ ist zugleich Schlagwort dieses Eintrags."
                yield Finding(place / "not_for" / number, text)


def answers_are_short(subject: Subject) -> Iterator[Finding]:
    for place, entry in subject.entries:
        length = len(plain_text(entry.answer))
        if length > MAX_ANSWER:
            text = (
                f"Die Antwort hat {length} Zeichen, höchstens {MAX_ANSWER} sind vorgesehen. "
                "Bitte kürzen und den Rest nach „passage“ stellen."
            )
            yield Finding(place / "answer", text)


def markdown_is_of_the_subset(subject: Subject) -> Iterator[Finding]:
    for place, text in _markdown(subject):
        for thing in foreign(text):
            yield Finding(place, f"{thing} wird nicht dargestellt, die Zeichen erscheinen im Text.")


def proofs_prove(subject: Subject) -> Iterator[Finding]:
    contacts = {c.id: " ".join(str(v) for _, v in c if v) for _, c in subject.contacts}
    for place, entry in subject.entries:
        shown = (contacts.get(name, "") for name in entry.contacts)
        said = set(_words(" ".join((entry.title, entry.answer, entry.passage or "", *shown))))
        for number, source in enumerate(entry.sources):
            proof = _words(source.quote or "")
            if proof and sum(w in said for w in proof) < PROVEN * len(proof):
                text = "Der Beleg steht weder in der Antwort noch im Langtext dieses Eintrags."
                yield Finding(place / "sources" / number / "quote", text)


def texts_are_known(subject: Subject) -> Iterator[Finding]:
    """A text of the bot under a name that nobody asks for, or with a gap that nobody fills."""
    shipped, _ = shipped_words()
    for place, content in subject.contents():
        for name, text in content.texts.items():
            here = place / "texts" / name
            if name not in shipped:
                yield Finding(here, f"Diesen Text kennt der Bot nicht.{suggest(name, shipped)}")
                continue
            for gap in sorted(_gaps(text) - _gaps(shipped[name])):
                yield Finding(here, f"{{{gap}}} wird in diesem Text nicht ersetzt.")


def cues_are_known(subject: Subject) -> Iterator[Finding]:
    """Phrases for something that the bot cannot do."""
    _, shipped = shipped_words()
    for place, content in subject.contents():
        for name in content.cues:
            if name not in shipped:
                text = f"Solche Wendungen kennt der Bot nicht.{suggest(name, shipped)}"
                yield Finding(place / "cues" / name, text)


def letters_are_undamaged(subject: Subject) -> Iterator[Finding]:
    """What text recognition makes of letters: digits for letters, lost umlaut dots."""
    texts = [(place, _URL.sub(" ", text)) for place, text in _markdown(subject)]
    texts += [(place / "title", entry.title) for place, entry in subject.entries]
    texts += [(place / "name", contact.name) for place, contact in subject.contacts]
    texts += [(place / "email", contact.email or "") for place, contact in subject.contacts]
    for place, text in texts:
        for damaged, meant in _damages(text):
            yield Finding(
                place,
                f"„{damaged}“ sieht nach einem Lesefehler aus. Meinten Sie „{meant}“? "
                "Bitte am Original prüfen.",
            )


def _damages(text: str) -> Iterator[tuple[str, str]]:
    """Damaged words with what they probably were."""
    for match in _DIGIT_IN_WORD.finditer(text):
        word = match[0]
        letters = "ol" if word[1].islower() else "OI"
        yield word, word.replace("l3", "ß").translate(str.maketrans("01", letters))
    for match in _LOST_DOTS_IN.finditer(text):
        meant = match[0].lower()
        for lost, dotted in _LOST_DOTS.items():
            meant = meant.replace(lost, dotted)
        yield match[0], meant.capitalize() if match[0][0].isupper() else meant


# --- words ----------------------------------------------------------------------


def _folded(text: str) -> str:
    """Words in lower case without punctuation, one space between them."""
    return " ".join(_words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _gaps(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\{(\w+)\}", text))


# --- all of them ----------------------------------------------------------------

BREAKING: tuple[Check, ...] = (
    has_entries,
    ids_are_unique,
    entries_exist,
    documents_exist,
    contacts_exist,
    links_are_allowed,
)
ADVISORY: tuple[Check, ...] = (
    one_language,
    drafts_are_not_linked,
    links_lead_elsewhere,
    series_are_sound,
    series_have_no_gaps,
    entries_have_sources,
    sources_are_settled,
    entries_are_cared_for,
    review_is_not_due,
    questions_are_unique,
    questions_differ,
    keywords_separate,
    synonyms_are_unique,
    not_for_is_no_keyword,
    answers_are_short,
    markdown_is_of_the_subset,
    proofs_prove,
    texts_are_known,
    cues_are_known,
    letters_are_undamaged,
)
CHECKS: tuple[tuple[Level, Check], ...] = (
    *((Level.ERROR, check) for check in BREAKING),
    *((Level.WARNING, check) for check in ADVISORY),
)


def subject_of(loaded: Loaded, today: date) -> Subject:
    read = {f.path for f in loaded.files}
    return Subject(loaded.files, today, whole=all(p.path in read for p in loaded.problems))


def breaking(loaded: Loaded) -> tuple[Problem, ...]:
    """What keeps the folder out of force: the loader's errors and those of `BREAKING`."""
    subject = subject_of(loaded, date.min)
    found = (f.problem(Level.ERROR) for check in BREAKING for f in check(subject))
    return tuple(sorted({*(p for p in loaded.problems if p.level is Level.ERROR), *found}))


def check(loaded: Loaded, today: date) -> tuple[Problem, ...]:
    """Every problem of the folder at once, sorted by place."""
    subject = subject_of(loaded, today)
    found = (f.problem(level) for level, check in CHECKS for f in check(subject))
    return tuple(sorted({*loaded.problems, *found}))

"""What the maintainers write: the models of the YAML files, and `load()`.

The models are the schema (the JSON Schema for editors is generated from them), so their
descriptions are German.  Loading never raises for what a file says: it collects `Problem`s.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from rapidfuzz import fuzz, process

from bot.chat import Audience
from bot.content.yamltext import Document, Position, Unreadable, read
from bot.content.yamltext import Path as FieldPath

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", max_length=80)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Markdown = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Language = Literal["de", "en"]

MAX_BYTES = 1_000_000  # of one file; the shipped base has some 300 kB in all


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Links(Model):
    """Verweise auf andere Einträge, für Folgefragen wie „wer macht das?“."""

    who: Id | None = Field(None, description="Eintrag, der sagt, wer das macht.")
    cost: Id | None = Field(None, description="Eintrag, der sagt, was das kostet.")
    contact: Id | None = Field(None, description="Eintrag mit dem Kontakt.")
    overview: Id | None = Field(None, description="Eintrag mit dem Überblick über die Reihe.")
    duration: Id | None = Field(None, description="Eintrag zu Dauer und Fristen.")
    advantages: Id | None = Field(None, description="Eintrag mit den Vorteilen.")
    disadvantages: Id | None = Field(None, description="Eintrag mit den Nachteilen.")
    milestone: Id | None = Field(None, description="Eintrag mit den Meilensteinen.")
    also: Id | None = Field(None, description="Eintrag, der sagt, wofür das auch gilt.")


class Reference(Model):
    """Fundstelle einer Aussage in einem Dokument."""

    document: Id = Field(description="Kürzel eines Dokuments aus „documents“.")
    slide: Line | None = Field(None, description="Titel der Folie oder des Abschnitts.")
    page: Line | None = Field(None, description="Gedruckte Seite, nur wenn lesbar, z. B. „S. 12“.")
    quote: Markdown | None = Field(None, description="Beleg: der Wortlaut der Quelle.")
    uncertain: bool = Field(False, description="Ist die Zuordnung in der Quelle unsicher?")
    facts: tuple[Line, ...] = Field((), description="Nummern der Fakten, auf denen das beruht.")


class Status(StrEnum):
    APPROVED = "freigegeben"
    DRAFT = "entwurf"


class Care(Model):
    """Pflege: wer zuständig ist und wann wieder geprüft wird."""

    owner: Line = Field(description="Wer den Eintrag pflegt (Stelle, keine Person).")
    checked: datetime.date = Field(description="Zuletzt geprüft am, JJJJ-MM-TT.")
    review: datetime.date = Field(description="Wieder prüfen bis, JJJJ-MM-TT.")
    status: Status = Field(Status.APPROVED, description="Nur „freigegeben“ wird ausgegeben.")


class Tests(Model):
    """Probefragen: werden bei jeder Prüfung gestellt, sind aber kein Suchtext."""

    hits: tuple[Line, ...] = Field((), description="Fragen, die hierher führen müssen.")
    misses: tuple[Line, ...] = Field((), description="Fragen, die nicht hierher führen dürfen.")


class Kind(StrEnum):
    ANSWER = "antwort"
    GAP = "luecke"  # an honest "the source does not say it"; counts as unknown


class Entry(Model):
    """Ein Eintrag: eine Antwort und alles, woran sie gefunden wird."""

    id: Id = Field(description="Kürzel: Kleinbuchstaben, Ziffern, Bindestriche.")
    title: Line = Field(description="Überschrift der Antwort.")
    kind: Kind = Field(
        Kind.ANSWER, description="„luecke“: ehrlicher Eintrag, die Quelle sagt es nicht."
    )
    answer: Markdown = Field(description="Kurze Antwort, höchstens etwa 900 Zeichen.")
    passage: Markdown | None = Field(None, description="Langtext, kommt auf „mehr“.")
    questions: tuple[Line, ...] = Field((), description="So wird gefragt.")
    keywords: tuple[Line, ...] = Field((), description="Schlagwörter, auch Umgangssprache.")
    not_for: tuple[Line, ...] = Field((), description="Wörter, bei denen er nicht gemeint ist.")
    milestone: Line | None = Field(None, description="Meilenstein, mit dem der Schritt endet.")
    links: Links = Field(default_factory=lambda: Links.model_construct(), description="Verweise.")
    related: tuple[Id, ...] = Field((), description="Verwandte Einträge, als „Weiter“ angeboten.")
    contacts: tuple[Id, ...] = Field((), description="Kürzel aus „contacts“, werden angehängt.")
    sources: tuple[Reference, ...] = Field((), description="Fundstellen.")
    audience: Audience = Field(Audience.PUBLIC, description="„intern“: nicht in fremde Räume.")
    care: Care | None = Field(None, description="Pflege.")
    tests: Tests = Field(
        default_factory=lambda: Tests.model_construct(), description="Probefragen."
    )


class Series(Model):
    """Eine Reihe, durch die man mit „danach“ und „davor“ geht."""

    id: Id
    title: Line = Field(description="Name der Reihe, z. B. „Projektphasen“.")
    entries: tuple[Id, ...] = Field(min_length=2, description="Einträge in ihrer Reihenfolge.")
    before: Line | None = Field(None, description="Was vor dem ersten gilt.")
    after: Line | None = Field(None, description="Was nach dem letzten gilt.")
    unordered: tuple[Id, ...] = Field(
        (), description="Benachbarte Einträge, deren Reihenfolge die Quelle offen lässt."
    )
    unordered_note: Line | None = Field(None, description="Satz, der das sagt.")


class SourceDocument(Model):
    """Ein Dokument, aus dem zitiert wird."""

    id: Id
    title: Line
    publisher: Line | None = None
    date: datetime.date | None = Field(None, description="Datum des Dokuments, JJJJ-MM-TT.")
    version: Line | None = Field(None, description="Fassung, z. B. „Leitfaden 1.2“.")
    url: Line | None = Field(None, description="Adresse, https.")
    supplement: bool = Field(False, description="Ergänzung, nicht aus den Folien.")
    notice: Line | None = Field(None, description="Hinweis, der jeder Antwort daraus folgt.")


class Contact(Model):
    """Eine Anlaufstelle; Einträge verweisen darauf."""

    id: Id
    name: Line
    email: Line | None = None
    phone: Line | None = None
    address: Line | None = None
    url: Line | None = None
    notice: Line | None = Field(None, description="Hinweis, der immer mit ausgegeben wird.")


class Synonyms(Model):
    """Wörter, die dasselbe meinen."""

    words: tuple[Line, ...] = Field(min_length=2)


class KnowledgeFile(Model):
    """Eine Datei des Wissensbestands: ein Thema."""

    language: Language | None = Field(None, description="Sprache des Ordners: de oder en.")
    topic: Line | None = Field(None, description="Name des Themas.")
    entries: tuple[Entry, ...] = Field((), description="Einträge.")
    series: tuple[Series, ...] = Field((), description="Reihen.")
    documents: tuple[SourceDocument, ...] = Field((), description="Dokumente.")
    contacts: tuple[Contact, ...] = Field((), description="Anlaufstellen.")
    synonyms: tuple[Synonyms, ...] = Field((), description="Gleichbedeutende Wörter.")
    phrasings: Mapping[Id, tuple[Line, ...]] = Field(
        default_factory=dict,
        description="Weitere Formulierungen: zum Kürzel eines Eintrags, wie sonst gefragt wird.",
    )
    texts: Mapping[str, Markdown] = Field(default_factory=dict, description="Texte des Bots.")
    cues: Mapping[str, tuple[Line, ...]] = Field(
        default_factory=dict, description="Wendungen, an denen der Bot Folgefragen erkennt."
    )


class Level(StrEnum):
    ERROR = "FEHLER"
    WARNING = "WARNUNG"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong; `str()` is the line that `lotse check` prints."""

    path: str
    position: Position
    level: Level
    field: str
    text: str

    def __str__(self) -> str:
        what = f"{self.field}: {self.text}" if self.field else self.text
        where = f"{self.path}:{self.position.line}:{self.position.column}"
        return f"{where} {self.level} {what}"


@dataclass(frozen=True, slots=True)
class Topic:
    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, eq=False)
class KnowledgeBase:
    """Everything in force, immutable; files are read in the order of their names.

    Equal only to itself, so that what is derived from a base can be remembered by it.
    """

    language: Language
    entries: Mapping[str, Entry]
    topics: tuple[Topic, ...] = ()
    series: tuple[Series, ...] = ()
    documents: Mapping[str, SourceDocument] = field(default_factory=dict)
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    synonyms: tuple[tuple[str, ...], ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    cues: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    revision: str = ""  # short hash over all files


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as read, kept for the checks: they need places."""

    path: str  # as shown in problems
    document: Document
    content: KnowledgeFile | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    base: KnowledgeBase | None  # None where an error stands in the way
    problems: tuple[Problem, ...]
    files: tuple[SourceFile, ...]  # those that are readable YAML


class _Schema(GenerateJsonSchema):
    """Without the titles that Pydantic makes up from the names of fields."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False


def schema() -> str:
    """The JSON Schema of a knowledge file, as `knowledge/schema.json` holds it."""
    generated = KnowledgeFile.model_json_schema(schema_generator=_Schema)
    for definition in (generated, *generated["$defs"].values()):
        definition.pop("title")
        if "enum" in definition:  # what an enumeration means is said at the field, in German
            definition.pop("description", None)
    generated = {"$schema": GenerateJsonSchema.schema_dialect, **generated}
    return json.dumps(generated, ensure_ascii=False, indent=2) + "\n"


def shipped() -> Path:
    """The knowledge that comes with the program, in a checkout and in an installed wheel."""
    return Path(__file__).resolve().parents[2] / "knowledge"


@cache
def shipped_words() -> tuple[Mapping[str, str], Mapping[str, tuple[str, ...]]]:
    """The bot's own texts and cues, for folders that bring none."""
    paths = (shipped() / name for name in ("texts.yaml", "cues.yaml"))
    base = load_files(path for path in paths if path.exists()).base
    return (base.texts, base.cues) if base else ({}, {})


def yaml_files(folder: Path) -> list[Path]:
    """The files of a knowledge folder in the order of their names; hidden ones do not count."""
    found = (p for suffix in ("*.yaml", "*.yml") for p in folder.rglob(suffix))
    return sorted(p for p in found if not p.name.startswith("."))


def load(folder: Path) -> Loaded:
    """Read every YAML file below `folder`.  Raises nothing for what the files contain."""
    paths = yaml_files(folder)
    if paths:
        return load_files(paths)
    missing = Problem(str(folder), Position(), Level.ERROR, "", _no_files(folder))
    return Loaded(None, (missing,), ())


def load_files(paths: Iterable[Path]) -> Loaded:
    """Read the files as one knowledge base.  Raises nothing for what they contain."""
    problems: list[Problem] = []
    files: list[SourceFile] = []
    digest = hashlib.sha256()
    for path in paths:
        name = shown(path)
        try:
            raw = _bytes(path)
            digest.update(raw)
            document = read(raw.decode("utf-8-sig"))
        except Unreadable as error:
            problems.append(Problem(name, error.position, Level.ERROR, "", str(error)))
        except UnicodeDecodeError as error:
            text = f"Die Datei ist nicht in UTF-8 gespeichert (ab Byte {error.start})."
            problems.append(Problem(name, Position(), Level.ERROR, "", text))
        except OSError as error:
            text = f"Die Datei lässt sich nicht lesen: {error.strerror}."
            problems.append(Problem(name, Position(), Level.ERROR, "", text))
        else:
            content, wrong = _validate(name, document)
            problems += wrong
            files.append(SourceFile(name, document, content))
    contents = [f.content for f in files if f.content]
    broken = any(p.level is Level.ERROR for p in problems)
    base = None if broken else assemble(contents, revision=digest.hexdigest()[:12])
    return Loaded(base, tuple(sorted(problems)), tuple(files))


def assemble(contents: Iterable[KnowledgeFile], *, revision: str = "") -> KnowledgeBase:
    """Put the files of one folder together; drafts stay out."""
    contents = list(contents)
    more: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for content in contents:
        for entry_id, phrasings in content.phrasings.items():
            more[entry_id] += phrasings
    topics = tuple(
        Topic(c.topic or "", tuple(_asked(e, more[e.id]) for e in c.entries if _in_force(e)))
        for c in contents
        if c.entries
    )
    return KnowledgeBase(
        language=next((c.language for c in contents if c.language), "de"),
        entries={e.id: e for t in topics for e in t.entries},
        topics=topics,
        series=tuple(s for c in contents for s in c.series),
        documents={d.id: d for c in contents for d in c.documents},
        contacts={k.id: k for c in contents for k in c.contacts},
        synonyms=tuple(s.words for c in contents for s in c.synonyms),
        texts={k: v for c in contents for k, v in c.texts.items()},
        cues={k: v for c in contents for k, v in c.cues.items()},
        revision=revision,
    )


def _bytes(path: Path) -> bytes:
    """The content of a file of allowed size; a giant one is not read to its end."""
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise Unreadable("Die Datei ist größer als 1 MB. Bitte auf mehrere aufteilen.", Position())
    return raw


def _asked(entry: Entry, phrasings: tuple[str, ...]) -> Entry:
    """The entry with what another file adds to its questions."""
    if not phrasings:
        return entry
    return entry.model_copy(update={"questions": entry.questions + phrasings})


def _in_force(entry: Entry) -> bool:
    return entry.care is None or entry.care.status is Status.APPROVED


def shown(path: Path) -> str:
    """The path as problems name it: relative to where the command was called, if below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _no_files(folder: Path) -> str:
    return (
        f"In „{folder}“ liegt keine YAML-Datei. Bitte --knowledge oder LOTSE_KNOWLEDGE_DIR prüfen."
    )


def _validate(shown: str, document: Document) -> tuple[KnowledgeFile | None, list[Problem]]:
    data: Any = document.data if document.data is not None else {}
    if not isinstance(data, dict):
        text = "Die Datei muss mit Feldern wie „entries:“ beginnen."
        return None, [Problem(shown, Position(), Level.ERROR, "", text)]
    try:
        return KnowledgeFile.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(shown, document, dict(e)) for e in error.errors()]


# --- Pydantic's findings in German ----------------------------------------------

_SAYS: Mapping[str, str] = {
    "missing": "Dieses Feld fehlt.",
    "string_type": "Hier muss Text stehen. Wörter wie true bitte in Anführungszeichen.",
    "string_too_short": "Der Text ist leer.",
    "string_too_long": "Der Text ist länger als {max_length} Zeichen.",
    "string_pattern_mismatch": "Nur Kleinbuchstaben a–z, Ziffern und Bindestriche dazwischen.",
    "tuple_type": "Hier muss eine Liste stehen, jede Zeile mit „- “ davor.",
    "too_short": "Hier müssen mindestens {min_length} Zeilen stehen.",
    "enum": "Erlaubt ist nur: {expected}.",
    "literal_error": "Erlaubt ist nur: {expected}.",
    "bool_type": "Hier muss true oder false stehen.",
    "bool_parsing": "Hier muss true oder false stehen.",
    "date_type": "Hier muss ein Datum wie 2026-11-24 stehen.",
    "date_from_datetime_parsing": "Hier muss ein Datum wie 2026-11-24 stehen.",
    "date_from_datetime_inexact": "Hier muss ein Datum wie 2026-11-24 stehen.",
    "model_type": "Hier müssen eingerückte Felder stehen.",
    "dict_type": "Hier müssen eingerückte Felder stehen.",
    "mapping_type": "Hier müssen eingerückte Felder stehen.",
}


def _problem(shown: str, document: Document, error: Mapping[str, Any]) -> Problem:
    path: FieldPath = tuple(error["loc"])
    name = next((p for p in reversed(path) if isinstance(p, str)), "")
    place = document.position(path)
    if error["type"] == "extra_forbidden":
        text = f"Ein Feld „{name}“ gibt es hier nicht.{suggest(name, _fields(path[:-1]))}"
    else:
        text = _SAYS.get(error["type"], str(error["msg"]))
        text = text.format_map({k: str(v) for k, v in error.get("ctx", {}).items()})
        text = text.replace("'", "").replace(" or ", " oder ")
    return Problem(shown, place, Level.ERROR, name, text)


def suggest(name: str, known: Iterable[str]) -> str:
    """„ Meinten Sie …?“ with the nearest known name, or nothing where none is near."""
    nearest = process.extractOne(name, sorted(known), scorer=fuzz.ratio, score_cutoff=75)
    return f" Meinten Sie „{nearest[0]}“?" if nearest else ""


def _fields(path: FieldPath) -> Iterable[str]:
    """The names of the fields that may stand at a place in a file."""
    model: type[BaseModel] = KnowledgeFile
    for step in path:
        if isinstance(step, str):
            annotation = model.model_fields[step].annotation
            model = next(iter(_models(annotation)), model)
    return model.model_fields


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    """The models inside a type such as `tuple[Entry, ...]` or `Care | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)

"""The operator's commands: run, config, stats, doctor, agenda, data, backup, restore.

`COMMANDS` is what `bot.cli` adds to `lotse`.  The adapters come from there: the composition
root puts a function that makes them under `ADAPTERS` into Click's `context.meta`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from bot.chat import (
    Adapter,
    CredentialRefused,
    Examined,
    Finding,
    Outcome,
    Rating,
    StoreUnavailable,
)
from bot.config import Configuration, ConfigurationError, Settings, fields, load
from bot.content.knowledge import shipped
from bot.search.library import BrokenKnowledge, Library
from bot.serve import logs
from bot.serve.agenda import agenda_markdown
from bot.serve.journal import Journal
from bot.serve.seat import occupied
from bot.serve.service import NothingLeft, open_journal, serve
from bot.serve.tables import MIGRATIONS, Kind

ADAPTERS = "lotse.adapters"
AdapterFactory = Callable[[Settings], Sequence[Adapter]]

WRONG_KNOWLEDGE, WRONG_SETTINGS, NO_ADAPTER, NO_STORE = 1, 3, 4, 5

T = TypeVar("T")

_config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOTSE_CONFIG",
    show_envvar=True,
    metavar="DATEI",
    help="Einstellungen aus dieser Datei statt aus lotse.yaml.",
)


@click.command()
@_config_option
@click.pass_context
def run(context: click.Context, file: Path | None) -> None:
    """Startet den Bot auf allen eingerichteten Plattformen, bis SIGTERM."""
    configuration = _configuration(file)
    settings = configuration.settings
    logs.set_up(form=settings.log_format, level=settings.log_level, secrets=_secrets(settings))
    library = _library(context, settings)
    try:
        adapters = _adapters(context, settings)
        asyncio.run(serve(settings, library, adapters))
    except (CredentialRefused, NothingLeft) as error:
        _fail(str(error), NO_ADAPTER)
    except StoreUnavailable as error:
        _fail(_store_message(settings, error), NO_STORE)
    except OSError as error:
        where = f"{settings.http_host}:{settings.http_port}"
        _fail(f"LOTSE_HTTP_PORT: auf {where} lässt sich nicht lauschen ({error.strerror}).", 3)


@click.command()
@_config_option
def config(file: Path | None) -> None:
    """Zeigt jede Einstellung und woher sie kommt, Geheimnisse verdeckt."""
    rows = [(s.name, s.value, s.origin) for s in _configuration(file).table()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}")


@click.command()
@_config_option
@click.option("--json", "as_json", is_flag=True, help="Als ein JSON-Objekt.")
def stats(file: Path | None, as_json: bool) -> None:
    """Zählt Fragen, Rückmeldungen und was noch offen ist."""
    counted = _with_journal(_configuration(file).settings, lambda journal: journal.stats())
    figures: dict[str, Any] = {
        "questions": {o.value: counted.outcomes.get(o, 0) for o in Outcome},
        "feedback": {r.value: counted.ratings.get(r, 0) for r in Rating},
        "open": counted.open,
        "dead": counted.dead,
    }
    if as_json:
        click.echo(json.dumps(figures, separators=(",", ":")))
        return
    questions, feedback = figures["questions"], figures["feedback"]
    for name, value in (
        ("Beantwortet", questions["answer"]),
        ("Rückfragen", questions["choices"]),
        ("Ohne Antwort", questions["unknown"]),
        ("Gruß, Dank, Hilfe", questions["smalltalk"]),
        ("Hilfreich", feedback["up"]),
        ("Nicht hilfreich", feedback["down"]),
        ("Noch offen", counted.open),
        ("Aufgegeben", counted.dead),
    ):
        click.echo(f"{name:<20}{value:>8}")


@click.command()
@_config_option
@click.option("--open", "all_open", is_flag=True, help="Auch weitergegebene und unbeantwortete.")
@click.pass_context
def agenda(context: click.Context, file: Path | None, all_open: bool) -> None:
    """Schreibt die für die Sprechstunde vorgemerkten Fragen als Markdown."""
    settings = _configuration(file).settings
    base = _library(context, settings).edition.base
    kinds = tuple(Kind) if all_open else (Kind.AGENDA,)
    items = _with_journal(settings, lambda journal: journal.items(*kinds))
    click.echo(agenda_markdown(items, base), nl=False)


@click.group()
def data() -> None:
    """Auskunft und Löschung für eine Person."""


@data.command()
@_config_option
@click.argument("person", metavar="KENNUNG")
def export(file: Path | None, person: str) -> None:
    """Gibt alles aus, was zu einer Kennung gespeichert ist (JSON)."""
    stored = _with_journal(_configuration(file).settings, lambda journal: journal.export(person))
    click.echo(json.dumps(stored, ensure_ascii=False, indent=2))


@data.command()
@_config_option
@click.argument("person", metavar="KENNUNG")
def erase(file: Path | None, person: str) -> None:
    """Löscht alles, was zu einer Kennung gespeichert ist."""
    gone = _with_journal(_configuration(file).settings, lambda journal: journal.erase(person))
    click.echo(
        f"Gelöscht: Fragen {gone.questions}, Rückmeldungen {gone.ratings},"
        f" vorgemerkte oder weitergegebene Fragen {gone.items}."
    )


@click.command()
@_config_option
@click.argument("target", metavar="ZIEL", type=click.Path(path_type=Path))
def backup(file: Path | None, target: Path) -> None:
    """Sichert den Speicher im laufenden Betrieb in eine neue Datei."""
    settings = _configuration(file).settings
    if not settings.store_url.startswith("sqlite:///"):
        raise click.UsageError("LOTSE_DATABASE_URL: eine PostgreSQL-Datenbank sichert „pg_dump“.")
    if target.exists():
        raise click.UsageError(f"„{target}“ gibt es schon. Bitte einen neuen Namen angeben.")
    _with_journal(settings, lambda journal: journal.store.backup(target))
    click.echo(
        f"Gesichert: {target}. Bitte getrennt davon sichern: {settings.data_dir}/hash-key"
        " (ohne ihn lassen sich Personen nicht wiederfinden)."
    )


@click.command()
@_config_option
@click.argument("source", metavar="SICHERUNG", type=click.Path(path_type=Path, exists=True))
def restore(file: Path | None, source: Path) -> None:
    """Spielt eine Sicherung ein; der bisherige Speicher bleibt daneben liegen."""
    settings = _configuration(file).settings
    if not settings.store_url.startswith("sqlite:///"):
        raise click.UsageError("LOTSE_DATABASE_URL: eine PostgreSQL-Datenbank füllt „pg_restore“.")
    if occupied(settings.data_dir):
        raise click.UsageError("Der Bot läuft noch. Bitte zuerst beenden.")
    _check_backup(source)
    target = Path(settings.store_url.removeprefix("sqlite:///"))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in (
        target,
        target.with_name(f"{target.name}-wal"),
        target.with_name(f"{target.name}-shm"),
    ):
        if old.exists():
            old.rename(old.with_name(f"{old.name}.vor-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))
    fresh = target.with_name(f"{target.name}.neu")
    shutil.copyfile(source, fresh)
    fresh.chmod(0o600)
    fresh.rename(target)
    counted = _with_journal(settings, lambda journal: journal.stats())
    click.echo(f"Eingespielt: {source}. Offene Fragen: {counted.open}.")


@click.command()
@_config_option
@click.pass_context
def doctor(context: click.Context, file: Path | None) -> None:
    """Prüft Einstellungen, Speicher, Wissen und Plattformen und sagt, was zu tun ist."""
    findings = list(_examined(context, file))
    for finding in findings:
        mark = "FEHLER " if finding.remedy else "OK     "
        mark = "WARNUNG" if finding.remedy and finding.warning else mark
        click.echo(f"{mark} {finding.what}{f' → {finding.remedy}' if finding.remedy else ''}")
    if any(f.remedy and not f.warning for f in findings):
        sys.exit(1)


COMMANDS: tuple[click.Command, ...] = (
    run,
    config,
    stats,
    doctor,
    agenda,
    data,
    backup,
    restore,
)

# --- what the doctor looks at ---------------------------------------------------


def _examined(context: click.Context, file: Path | None) -> Iterator[Finding]:
    try:
        settings = load(os.environ, file).settings
    except ConfigurationError as error:
        yield from (Finding(problem, "Bitte berichtigen.") for problem in error.problems)
        return
    yield Finding("Einstellungen gelesen")
    yield from _examined_folder(settings)
    yield from _examined_knowledge(context, settings)
    yield from _examined_store(settings)
    try:
        adapters = _adapters(context, settings)
    except CredentialRefused as error:
        yield Finding("Plattformen", str(error))
        return
    except click.ClickException as error:
        yield Finding("Plattformen", error.format_message())
        return
    for adapter in adapters:
        if isinstance(adapter, Examined):
            yield from asyncio.run(_examined_adapter(adapter.examine))


async def _examined_adapter(
    examine: Callable[[], Awaitable[Sequence[Finding]]],
) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(60):
            return await examine()
    except CredentialRefused as error:
        return [Finding("Anmeldung", str(error))]
    except (OSError, TimeoutError) as error:
        why = type(error).__name__
        return [Finding(f"Plattform nicht erreichbar ({why})", "Bitte Adresse und Netz prüfen.")]


def _examined_folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.is_dir():
        remedy = "Der erste Start legt ihn an."
        yield Finding(f"Datenordner {folder} fehlt noch", remedy, warning=True)
    elif folder.stat().st_mode & 0o077:
        yield Finding(f"Datenordner {folder} ist für andere lesbar", f"chmod 700 {folder}")
    elif not os.access(folder, os.W_OK):
        yield Finding(f"Datenordner {folder} ist nicht beschreibbar", "Besitzer prüfen.")
    elif shutil.disk_usage(folder).free < 100 * 1024**2:
        yield Finding(f"Unter {folder} sind weniger als 100 MiB frei", "Platz schaffen.")
    else:
        yield Finding(f"Datenordner {folder}")
    if settings.hash_key is None and not settings.store_url.startswith("sqlite"):
        yield Finding(
            "LOTSE_HASH_KEY fehlt",
            "Bei gemeinsamer Datenbank in allen Prozessen denselben Schlüssel angeben.",
            warning=True,
        )
    elif settings.hash_key and len(settings.hash_key.get_secret_value()) < 32:
        yield Finding("LOTSE_HASH_KEY ist kurz", "Mindestens 32 zufällige Zeichen.", warning=True)


def _examined_knowledge(context: click.Context, settings: Settings) -> Iterator[Finding]:
    try:
        library = Library(_knowledge_folder(context, settings))
    except BrokenKnowledge as error:
        yield Finding(
            f"Wissensbestand hat {len(error.problems)} Fehler", "„lotse check“ nennt sie."
        )
        return
    yield Finding(f"Wissensbestand mit {len(library.edition.base.entries)} Einträgen")


def _examined_store(settings: Settings) -> Iterator[Finding]:
    async def look(journal: Journal) -> list[Finding]:
        counted, dead = await journal.stats(), await journal.dead()
        late = counted.oldest_open_s > 300
        waiting = f"{counted.open} offene Fragen, die älteste {counted.oldest_open_s:.0f} s alt"
        return [
            Finding("Speicher lesbar und beschreibbar"),
            Finding(waiting, "Läuft der Bot? Ist die Plattform erreichbar?" if late else ""),
            *(
                Finding(
                    f"Aufgegeben: {d.adapter}, Raum {d.room},"
                    f" {datetime.fromtimestamp(d.received, UTC):%d.%m.%Y %H:%M} UTC,"
                    f" {d.failures} Fehlversuche",
                    "Rechte des Bots im Raum prüfen; die Person bitten, erneut zu fragen.",
                    warning=True,
                )
                for d in dead
            ),
        ]

    try:
        yield from asyncio.run(_journalled(settings, look))
    except StoreUnavailable as error:
        yield Finding("Speicher", _store_message(settings, error))


# --- shared ---------------------------------------------------------------------


def _configuration(file: Path | None) -> Configuration:
    try:
        return load(os.environ, file)
    except ConfigurationError as error:
        _fail(str(error), WRONG_SETTINGS)


def _secrets(settings: Settings) -> list[str]:
    """Every secret in force, so that no log line shows one."""
    found = []
    for path, _ in fields():
        value: Any = settings
        for name in path:
            value = getattr(value, name, None)
        found += [value] if hasattr(value, "get_secret_value") else []
    for workspace in settings.slack.installations if settings.slack else ():
        found += [workspace.bot_token, workspace.app_token, workspace.signing_secret]
    return [secret.get_secret_value() for secret in found if secret]


def _knowledge_folder(context: click.Context, settings: Settings) -> Path:
    named: Path | None = context.find_root().params.get("knowledge")
    return named or settings.knowledge_dir or shipped()


def _library(context: click.Context, settings: Settings) -> Library:
    try:
        return Library(_knowledge_folder(context, settings))
    except BrokenKnowledge as error:
        _fail(f"Der Wissensbestand hat Fehler:\n{error}", WRONG_KNOWLEDGE)


def _adapters(context: click.Context, settings: Settings) -> Sequence[Adapter]:
    factory: AdapterFactory = context.meta[ADAPTERS]
    adapters = factory(settings)
    if not adapters:
        raise click.UsageError(
            "Es ist keine Plattform eingerichtet. Bitte LOTSE_MATRIX_HOMESERVER oder"
            " LOTSE_SLACK_BOT_TOKEN angeben."
        )
    return adapters


def _with_journal(settings: Settings, work: Callable[[Journal], Awaitable[T]]) -> T:
    try:
        return asyncio.run(_journalled(settings, work))
    except StoreUnavailable as error:
        _fail(_store_message(settings, error), NO_STORE)


async def _journalled(settings: Settings, work: Callable[[Journal], Awaitable[T]]) -> T:
    journal = await open_journal(settings)
    try:
        return await work(journal)
    finally:
        await journal.store.close()


def _check_backup(source: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as opened:
            sound = opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            version = opened.execute("SELECT version FROM meta").fetchone()
    except sqlite3.Error:
        sound, version = False, None
    if not sound or version is None:
        raise click.UsageError(f"„{source}“ ist keine unbeschädigte Sicherung des Lotsen.")
    if version[0] > len(MIGRATIONS) + 1:
        raise click.UsageError(
            f"„{source}“ stammt von einem neueren Programm. Bitte aktualisieren."
        )


def _store_message(settings: Settings, error: StoreUnavailable) -> str:
    where = "LOTSE_DATABASE_URL" if settings.database_url else "LOTSE_DATA_DIR"
    return f"{where}: der Speicher ist nicht benutzbar. {error}"


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)

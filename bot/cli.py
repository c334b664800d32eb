"""The command `lotse`: the composition root, the only file of bot that knows the adapters.

What a command needs is imported when it is called: `ask` answers within a second of its start.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.clickwords import speak_german

if TYPE_CHECKING:
    from bot.chat import Adapter
    from bot.config import Settings
    from bot.search.library import Edition, Library

speak_german()  # first of all: a command keeps the words with which its help was made

EXIT_PROBLEMS = 1  # FEHLER in the knowledge; 2 is Click's for a wrong call

_EPILOG = """\b
Rückgabewerte:
  0  in Ordnung
  1  FEHLER im Wissensbestand
  2  falscher Aufruf
  3  falsche Einstellungen
  4  keine Plattform erreichbar
  5  Speicher nicht benutzbar
"""


def main() -> None:
    """Entry point of the script `lotse`."""
    lotse(prog_name="lotse")


def _say_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"lotse {version('ozg-lotse')}")
    except PackageNotFoundError:
        click.echo("lotse (nicht installiert)")
    context.exit()


# The operator's commands live in `bot.serve.operations`; their names and lines stand here too, so
# that `ask` and `--help` need not import the store.
OPERATING = {
    "run": "Startet den Bot auf allen eingerichteten Plattformen, bis SIGTERM.",
    "config": "Zeigt jede Einstellung und woher sie kommt, Geheimnisse verdeckt.",
    "stats": "Zählt Fragen, Rückmeldungen und was noch offen ist.",
    "doctor": "Prüft Einstellungen, Speicher, Wissen und Plattformen und sagt, was zu tun ist.",
    "agenda": "Schreibt die für die Sprechstunde vorgemerkten Fragen als Markdown.",
    "data": "Auskunft und Löschung für eine Person.",
    "backup": "Sichert den Speicher im laufenden Betrieb in eine neue Datei.",
    "restore": "Spielt eine Sicherung ein; der bisherige Speicher bleibt daneben liegen.",
    "slack": "Hilft, die App in Slack anzulegen.",
}


class Command(click.Command):
    """A command that calls its options by their German name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"options_metavar": "[OPTIONEN]", **kwargs})


class Commands(click.Group):
    """The commands of this file, and those of `bot.serve.operations` once one of them is called."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return [*own, *(name for name in OPERATING if name not in own)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own or cmd_name not in OPERATING:
            return own
        try:
            from bot.serve.operations import COMMANDS
        except ModuleNotFoundError as missing:
            raise click.ClickException(_missing(missing, "run")) from None
        command = next(c for c in COMMANDS if c.name == cmd_name)
        command.options_metavar = "[OPTIONEN]"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = [name for name in super().list_commands(ctx) if name not in OPERATING]
        own = {name: self.commands[name].get_short_help_str(80) for name in names}
        for title, lines in (("Fragen und pflegen", own), ("Betreiben", OPERATING)):
            with formatter.section(title):
                formatter.write_dl(list(lines.items()))


def adapters(settings: Settings) -> list[Adapter]:
    """Every platform that is configured; adding one is one file and one line here."""
    found: list[Adapter] = []
    try:
        if settings.matrix:
            from adapters.matrix import Matrix

            found.append(Matrix(settings.matrix, settings.data_dir))
        if settings.slack:
            from adapters.slack import Slack

            found += [Slack(settings.slack, i) for i in settings.slack.installations]
    except ModuleNotFoundError as missing:
        extras = ",".join(n for n in ("matrix", "slack") if getattr(settings, n))
        raise click.ClickException(_missing(missing, extras)) from None
    return found


def _missing(error: ModuleNotFoundError, extras: str) -> str:
    install = f"pip install 'ozg-lotse[{extras}]'"
    return f"Es fehlt das Paket „{error.name}“. Bitte einrichten mit: {install}"


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    options_metavar="[OPTIONEN]",
    subcommand_metavar="BEFEHL …",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--knowledge",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="LOTSE_KNOWLEDGE_DIR",
    show_envvar=True,
    metavar="ORDNER",
    help="Anderer Wissensordner statt des mitgelieferten.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Zeigt die Version.",
)
@click.pass_context
def lotse(context: click.Context, knowledge: Path | None) -> None:
    """Schlägt im Leitfaden zur OZG-Nachnutzung nach und nennt die Quelle."""
    from bot.content.knowledge import shipped

    context.obj = knowledge or shipped()
    context.meta["lotse.adapters"] = adapters  # `bot.serve.operations.ADAPTERS`


@lotse.command()
@click.argument("question", metavar="[FRAGE]", required=False)
@click.option("--explain", is_flag=True, help="Zeigt, warum dieser Eintrag gefunden wird.")
@click.option("--jsonl", is_flag=True, help="Beantwortet JSON-Zeilen der Standardeingabe.")
@click.pass_obj
def ask(folder: Path, question: str | None, explain: bool, jsonl: bool) -> None:
    """Beantwortet eine Frage.

    Mit --jsonl steht in jeder Eingabezeile ein Objekt {"q": "…", "thread": "…", "at": "…"};
    gleicher „thread“ ist ein Gespräch, „at“ die Uhrzeit der Frage (beide freiwillig).
    """
    if jsonl == (question is not None) or (explain and jsonl):
        raise click.UsageError("Bitte entweder eine Frage angeben oder --jsonl.")
    edition = _library(folder).edition
    if question is None:
        from bot.jsonl import Session, serve

        serve(sys.stdin.buffer, sys.stdout.buffer, Session(edition, _now))
    elif explain:
        from bot.talk.explain import explain as explained

        click.echo(explained(question, edition))
    else:
        from bot.chat import Conversation, Message
        from bot.markup import plain
        from bot.talk.answering import State, answer

        conversation = Conversation("terminal", "", "ask")
        message = Message(conversation, "1", "ask", question, _now())
        reply, _ = answer(message, State.from_json(None), edition)
        click.echo(plain(reply))


@lotse.command()
@click.pass_obj
def chat(folder: Path) -> None:
    """Öffnet ein Gespräch im Terminal, bis die Eingabe endet (Strg+D).

    Geänderte Wissensdateien gelten ab der nächsten Frage; haben sie Fehler, bleibt der alte
    Stand in Kraft, und die Fehler werden genannt.
    """
    import asyncio
    import os
    from contextlib import suppress

    from adapters.terminal import Terminal
    from bot.memory import MemoryDesk

    library = _library(folder)

    def edition() -> Edition:
        before = library.problems
        if library.refresh():
            click.echo("Der geänderte Wissensbestand ist in Kraft.", err=True)
        elif library.problems and library.problems != before:
            click.echo("Der alte Wissensbestand bleibt in Kraft:", err=True)
            click.echo("\n".join(map(str, library.problems)), err=True)
        return library.edition

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a pipe may hold anything
    asker = os.environ.get("USER") or os.environ.get("USERNAME") or ""
    terminal = Terminal(sys.stdin, sys.stdout, asker=asker)
    with suppress(KeyboardInterrupt):
        asyncio.run(terminal.run(MemoryDesk(terminal, edition)))


@lotse.command()
@click.argument("paths", nargs=-1, metavar="[PFAD …]", type=click.Path(exists=True, path_type=Path))
@click.pass_obj
def check(folder: Path, paths: tuple[Path, ...]) -> None:
    """Prüft den Wissensbestand und nennt alles, was nicht stimmt.

    Ohne PFAD den ganzen Ordner; mit PFAD einen anderen Ordner oder einzelne Dateien. Jede
    Zeile nennt Datei, Zeile, Spalte, Stufe und Feld. FEHLER verhindern, dass der Bestand in
    Kraft tritt; WARNUNGEN sind abzuwägen.
    """
    from bot.content.knowledge import Level
    from bot.talk.probes import examine

    today = _now().date()
    problems = sorted({p for path in paths or (folder,) for p in examine(path, today, folder)})
    for problem in problems:
        colour = "red" if problem.level is Level.ERROR else "yellow"
        level = click.style(problem.level.value, fg=colour)
        click.echo(str(problem).replace(problem.level.value, level, 1))
    errors = sum(p.level is Level.ERROR for p in problems)
    click.echo(f"{errors} FEHLER, {len(problems) - errors} WARNUNGEN", err=True)
    if errors:
        sys.exit(EXIT_PROBLEMS)


@lotse.command()
def schema() -> None:
    """Gibt das JSON-Schema der Wissensdateien aus (für „schema.json“)."""
    from bot.content.knowledge import schema as generated

    click.echo(generated(), nl=False)


@lotse.group(options_metavar="[OPTIONEN]", subcommand_metavar="BEFEHL …")
def slack() -> None:
    """Hilft, die App in Slack anzulegen."""


@slack.command(cls=Command)
@click.option("--url", default="", metavar="URL", help="Adresse für HTTP statt Socket Mode.")
def manifest(url: str) -> None:
    """Gibt das App-Manifest aus, das in Slack eingefügt wird."""
    from adapters.slack_manifest import manifest as shipped

    click.echo(shipped(url), nl=False)


def _library(folder: Path) -> Library:
    from bot.search.library import BrokenKnowledge, Library

    try:
        return Library(folder)
    except BrokenKnowledge as broken:
        click.echo(f"Der Wissensbestand tritt nicht in Kraft:\n{broken}", err=True)
        sys.exit(EXIT_PROBLEMS)


def _now() -> datetime:
    return datetime.now(UTC).astimezone()

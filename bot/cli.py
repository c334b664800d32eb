"""The command `lotse`: the composition root, the only file of bot that knows the adapters.

What a command needs is imported when it is called: `ask` answers within a second of its start.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.clickwords import speak_german

if TYPE_CHECKING:
    from bot.library import Edition

EXIT_PROBLEMS = 1  # FEHLER in the knowledge; 2 is Click's for a wrong call

_EPILOG = """\b
Rückgabewerte:
  0  in Ordnung
  1  FEHLER im Wissensbestand
  2  falscher Aufruf
"""


def main() -> None:
    """Entry point of the script `lotse`."""
    speak_german()
    lotse(prog_name="lotse")


def _version() -> str:
    try:
        return version("ozg-lotse")
    except PackageNotFoundError:
        return "(nicht installiert)"


class Command(click.Command):
    """A command that calls its options by their German name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"options_metavar": "[OPTIONEN]", **kwargs})


class Commands(click.Group):
    command_class = Command


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
@click.version_option(_version(), prog_name="lotse", help="Zeigt die Version.")
@click.pass_context
def lotse(context: click.Context, knowledge: Path | None) -> None:
    """Schlägt im Leitfaden zur OZG-Nachnutzung nach und nennt die Quelle."""
    from bot.knowledge import shipped

    context.obj = knowledge or shipped()


@lotse.command()
@click.argument("question", metavar="[FRAGE]", required=False)
@click.option("--jsonl", is_flag=True, help="JSON-Zeilen von der Standardeingabe beantworten.")
@click.pass_obj
def ask(folder: Path, question: str | None, jsonl: bool) -> None:
    """Beantwortet eine Frage.

    Mit --jsonl steht in jeder Eingabezeile ein Objekt {"q": "…", "thread": "…", "at": "…"};
    gleicher „thread“ ist ein Gespräch, „at“ die Uhrzeit der Frage (beide freiwillig).
    """
    if jsonl == (question is not None):
        raise click.UsageError("Bitte entweder eine Frage angeben oder --jsonl.")
    edition = _edition(folder)
    if question is None:
        from bot.jsonl import Session, serve

        serve(sys.stdin.buffer, sys.stdout.buffer, Session(edition, _now))
        return
    from bot.answering import State, answer
    from bot.chat import Conversation, Message
    from bot.markup import plain

    conversation = Conversation("terminal", "", "ask")
    message = Message(conversation, "1", "ask", question, _now(), direct=True)
    reply, _ = answer(message, State.from_json(None), edition)
    click.echo(plain(reply))


def _edition(folder: Path) -> Edition:
    from bot.library import BrokenKnowledge, publish

    try:
        return publish(folder)
    except BrokenKnowledge as broken:
        click.echo(f"Der Wissensbestand hat Fehler:\n{broken}", err=True)
        sys.exit(EXIT_PROBLEMS)


def _now() -> datetime:
    return datetime.now(UTC).astimezone()

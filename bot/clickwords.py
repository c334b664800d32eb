"""Click's own words in German.  Click asks gettext for them; this answers in its place."""

from __future__ import annotations

from types import ModuleType

import click.core
import click.decorators
import click.exceptions
import click.formatting
import click.parser
import click.termui
import click.types

_SPEAKING: tuple[ModuleType, ...] = (
    click.core,
    click.decorators,
    click.exceptions,
    click.formatting,
    click.parser,
    click.termui,
    click.types,
)

_GERMAN = {
    "Usage:": "Aufruf:",
    "Options": "Optionen",
    "Positional arguments": "Argumente",
    "Commands": "Befehle",
    "Show this message and exit.": "Zeigt diese Hilfe.",
    "Show the version and exit.": "Zeigt die Version.",
    "%(prog)s, version %(version)s": "%(prog)s %(version)s",
    "default: {default}": "Vorgabe: {default}",
    "env var: {var}": "Umgebung: {var}",
    "required": "nötig",
    "Aborted!": "Abgebrochen.",
    "Error: {message}": "Fehler: {message}",
    "Try '{command} {option}' for help.": "Hilfe zeigt „{command} {option}“.",
    "Missing command.": "Es fehlt der Befehl.",
    "No such command {name!r}.": "Den Befehl {name!r} gibt es nicht.",
    "No such option {name!r}.": "Die Option {name!r} gibt es nicht.",
    "Did you mean {possibility}?": "Meinten Sie {possibility}?",
    "(Possible options: {possibilities})": "(Möglich sind: {possibilities})",
    "Invalid value: {message}": "Ungültiger Wert: {message}",
    "Invalid value for {param_hint}: {message}": "Ungültiger Wert für {param_hint}: {message}",
    "Missing argument": "Es fehlt das Argument",
    "Missing option": "Es fehlt die Option",
    "Missing parameter": "Es fehlt die Angabe",
    "Got unexpected extra argument ({args})": "Überzählige Angabe: {args}",
    "Got unexpected extra arguments ({args})": "Überzählige Angaben: {args}",
    "Option {name!r} requires an argument.": "Die Option {name!r} braucht einen Wert.",
    "Option {name!r} does not take a value.": "Die Option {name!r} nimmt keinen Wert.",
    "{name} {filename!r} does not exist.": "{name} {filename!r} gibt es nicht.",
    "{name} {filename!r} is a file.": "{name} {filename!r} ist eine Datei.",
    "{name} {filename!r} is a directory.": "{name} {filename!r} ist ein Ordner.",
    "{name} {filename!r} is not readable.": "{name} {filename!r} ist nicht lesbar.",
    "{name} {filename!r} is not writable.": "{name} {filename!r} ist nicht beschreibbar.",
    "{value!r} is not a valid {number_type}.": "{value!r} ist keine Zahl der Art {number_type}.",
    "{value} is not in the range {range}.": "{value} liegt nicht im Bereich {range}.",
    "Directory": "Ordner",
    "directory": "Ordner",
    "File": "Datei",
    "file": "Datei",
    "Path": "Pfad",
    "path": "Pfad",
}


def _one(text: str) -> str:
    return _GERMAN.get(text, text)


def _many(singular: str, plural: str, count: int) -> str:
    return _one(singular if count == 1 else plural)


def speak_german() -> None:
    """Let Click say its headings and errors in German; unknown ones stay English."""
    for module in _SPEAKING:
        for name, function in (("_", _one), ("ngettext", _many)):
            if hasattr(module, name):
                setattr(module, name, function)

"""The command `lotse` as a process: what it prints, how it ends, what it imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bot.cli import OPERATING
from bot.cli import lotse as lotse_command
from bot.serve.operations import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
SMALL = "entries:\n- {id: a, title: A, questions: [Was ist A?], answer: A ist A.}\n"


def lotse(
    *arguments: str, stdin: str = "", cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        cwd=cwd or ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(SMALL, encoding="utf-8")
    return tmp_path


def test_a_question_is_answered_with_its_source() -> None:
    done = lotse("ask", "Was ist EfA?")
    assert done.returncode == 0
    assert "Einer für Alle" in done.stdout
    assert "Quelle" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_json_lines_pass_through_a_pipe() -> None:
    done = lotse("ask", "--jsonl", stdin='{"q": "Was ist EfA?"}\nkaputt\n')
    good, bad = map(json.loads, done.stdout.splitlines())
    assert good["entry"] == "modell-efa"
    assert bad["error"]
    assert done.returncode == 0


def test_json_lines_are_utf_8_whatever_the_locale(folder: Path) -> None:
    where = {"LOTSE_KNOWLEDGE_DIR": str(folder)}
    done = lotse("ask", "--jsonl", stdin='{"q": "ü"}\n', LC_ALL="C", PYTHONUTF8="0", **where)
    assert done.returncode == 0
    assert json.loads(done.stdout)


def test_an_explanation_names_the_entry_the_thresholds_and_the_runners_up() -> None:
    done = lotse("ask", "--explain", "Was ist EfA?")
    assert done.returncode == 0
    assert "Bester Eintrag: modell-efa" in done.stdout
    assert "Gefundene Wörter:" in done.stdout
    assert "Schwellen: Antwort ab 0," in done.stdout
    assert done.stdout.count("Wert") >= 3


def test_a_chat_goes_through_a_pipe_and_ends_with_its_input() -> None:
    done = lotse("chat", stdin="Was passiert in Phase 2?\nund danach?")
    assert done.returncode == 0
    assert done.stdout.index("Phase 2 – ") < done.stdout.index("Phase 3 – Planung Nachnutzung\n")
    assert "\x1b" not in done.stdout


def test_a_chat_takes_over_a_changed_file_and_keeps_the_old_one_when_it_breaks(
    folder: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "bot", "--knowledge", str(folder), "chat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None

        def heard(question: str, word: str) -> None:
            process.stdin.write(f"{question}\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            assert any(word in line for line in iter(process.stdout.readline, ""))  # type: ignore[union-attr]

        heard("Was ist A?", "A ist A.")
        (folder / "a.yaml").write_text(SMALL.replace("A ist A.", "A ist neu."))
        heard("Was ist A?", "A ist neu.")
        (folder / "a.yaml").write_text("entries: [")
        heard("Was ist A?", "A ist neu.")
        process.stdin.close()
        assert "FEHLER" in process.stderr.read()
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("how", ["option", "variable"])
def test_another_knowledge_folder_is_used(folder: Path, how: str) -> None:
    done = (
        lotse("--knowledge", str(folder), "ask", "Was ist A?")
        if how == "option"
        else lotse("ask", "Was ist A?", LOTSE_KNOWLEDGE_DIR=str(folder))
    )
    assert "A ist A." in done.stdout


def test_broken_knowledge_ends_with_its_problems(folder: Path) -> None:
    (folder / "a.yaml").write_text(SMALL.replace("title", "titel"))
    done = lotse("--knowledge", str(folder), "ask", "Was ist A?")
    assert done.returncode == 1
    assert "Meinten Sie „title“?" in done.stderr
    assert done.stdout == ""


def test_check_prints_every_problem_and_fails_on_errors_only(folder: Path) -> None:
    done = lotse("check", str(folder))
    assert done.returncode == 0
    assert "a.yaml:2:3 WARNUNG" in done.stdout
    (folder / "b.yaml").write_text("entries: [{id: b, titel: B}]\n")
    done = lotse("check", ".", cwd=folder)
    assert done.returncode == 1
    assert "b.yaml:1:19 FEHLER titel: Ein Feld „titel“ gibt es hier nicht." in done.stdout


def test_check_looks_at_single_files(folder: Path) -> None:
    (folder / "b.yaml").write_text("entries: [{id: b, titel: B}]\n")
    assert lotse("check", str(folder / "b.yaml")).returncode == 1
    assert lotse("check", str(folder / "a.yaml")).returncode == 0


def test_help_is_german_down_to_its_headings() -> None:
    done = lotse("--help")
    for word in ("Aufruf:", "Optionen:", "Betreiben:", "Rückgabewerte:", "Umgebung:"):
        assert word in done.stdout
    for word in ("Usage", "Options", "Commands", "Show this", "Exit"):
        assert word not in done.stdout


def test_every_command_has_german_help() -> None:
    """In this process, because there are many commands."""
    for name in lotse_command.list_commands(click.Context(lotse_command)):
        said = CliRunner().invoke(lotse_command, [name, "--help"], prog_name="lotse").output
        assert said.startswith(f"Aufruf: lotse {name} [OPTIONEN]"), said
        assert "Options" not in said
        assert "Show" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frag"], "Den Befehl 'frag' gibt es nicht."),
        (["--wissen", "x"], "Die Option '--wissen' gibt es nicht."),
        (["ask"], "Bitte entweder eine Frage angeben oder --jsonl."),
        (["ask", "--jsonl", "x"], "Bitte entweder eine Frage angeben oder --jsonl."),
        (["ask", "--explain", "--jsonl"], "Bitte entweder eine Frage angeben oder --jsonl."),
        (["check", "gibt-es-nicht"], "gibt es nicht"),
        (["ask", "a", "b"], "Überzählige Angabe"),
    ],
)
def test_a_wrong_call_is_explained_in_german(arguments: list[str], says: str) -> None:
    done = lotse(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_the_version_is_told() -> None:
    assert lotse("--version").stdout.startswith("lotse ")


def test_the_shell_completes_commands() -> None:
    done = lotse(_LOTSE_COMPLETE="bash_complete", COMP_WORDS="lotse ch", COMP_CWORD="1")
    assert {"plain,chat", "plain,check"} <= set(done.stdout.split())


HEAVY = (
    "aiohttp",
    "alembic",
    "asyncpg",
    "nio",
    "pydantic_settings",
    "scipy",
    "slack_bolt",
    "slack_sdk",
    "sqlalchemy",
    "structlog",
)


@pytest.mark.parametrize("arguments", [["ask", "Was ist EfA?"], ["chat"], ["--help"], ["check"]])
def test_what_is_not_needed_is_not_imported(folder: Path, arguments: list[str]) -> None:
    script = (
        "import sys\nfrom bot.cli import main\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        input="",
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LOTSE_KNOWLEDGE_DIR": str(folder)},
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_operators_commands_are_those_of_their_module() -> None:
    commands = [*COMMANDS, lotse_command.commands["slack"]]
    assert {c.name: (c.help or "").splitlines()[0] for c in commands} == OPERATING

"""The operator's commands, called as `lotse` calls them, on a store of their own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bot.chat import (
    CredentialRefused,
    Finding,
    HandedOver,
    Marked,
    Outcome,
    Posted,
    Rated,
    Rating,
    Reply,
    Unanswered,
)
from bot.config import Settings
from bot.serve import operations
from bot.serve.journal import Journal
from bot.serve.seat import Seat
from bot.serve.service import open_journal
from tests.fakes import FakeAdapter, message

Lotse = Callable[..., Result]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wissen").mkdir()
    (tmp_path / "wissen" / "a.yaml").write_text(
        "topic: Grundlagen\n"
        "entries:\n- {id: efa, title: Was ist EfA?, questions: [EfA?], answer: Einer für Alle.}\n"
    )


@pytest.fixture
def adapters() -> list[Any]:
    return [FakeAdapter()]


@pytest.fixture
def lotse(adapters: list[Any]) -> Lotse:
    @click.group()
    @click.option("--knowledge", type=click.Path(path_type=Path))
    @click.pass_context
    def root(context: click.Context, knowledge: Path | None) -> None:
        context.meta[operations.ADAPTERS] = lambda _settings: adapters

    for command in operations.COMMANDS:
        root.add_command(command)

    def call(*arguments: str, **environ: str) -> Result:
        environ = {"LOTSE_DATA_DIR": "data", "LOTSE_KNOWLEDGE_DIR": "wissen", **environ}
        return CliRunner().invoke(root, list(arguments), env=environ)

    return call


def settings() -> Settings:
    return Settings(data_dir=Path("data"))


def fill() -> None:
    """A morning's questions, answered, rated, handed over and marked; one is open."""

    async def work() -> None:
        journal = await open_journal(settings())
        said = Reply(Outcome.ANSWER, "Einer für Alle.", entry="efa")
        await settle(journal, "m1", "Was ist EfA?", said)
        await settle(journal, "m2", "hilfreich", said_with(Rated(Rating.UP, "efa")))
        unknown = Reply(Outcome.UNKNOWN, "?", events=(Unanswered("Was kostet *das*?", ("efa",)),))
        await settle(journal, "m3", "Was kostet *das*?", unknown)
        await settle(journal, "m4", "4", said_with(HandedOver("Wie lange?", callback=False)))
        await settle(journal, "m5", "merken", said_with(Marked("Was ist EfA?", "efa", "Anna")))
        await settle(journal, "m6", "merken", said_with(Marked("Wann ist der Termin?")))
        await journal.receive([message("open")], None, 0)
        await journal.store.close()

    asyncio.run(work())


def said_with(*events: Any) -> Reply:
    return Reply(Outcome.SMALLTALK, "Gut.", events=events)


async def settle(journal: Journal, id: str, words: str, reply: Reply) -> None:  # noqa: A002
    await journal.receive([message(id, words)], None, 0)
    (job,) = await journal.claim("worker", [("fake", "")], 1)
    await journal.answered(job, reply, None)
    await journal.delivered(job, Posted((f"post-{id}",)))


def test_stats_in_the_promised_form(lotse: Lotse) -> None:
    fill()
    ran = lotse("stats", "--json")
    assert ran.output == (
        '{"questions":{"answer":1,"choices":0,"unknown":1,"smalltalk":4},'
        '"feedback":{"up":1,"down":0},"open":1,"dead":0}\n'
    )
    assert "Noch offen" in lotse("stats").output


def test_stats_of_an_empty_store(lotse: Lotse) -> None:
    assert json.loads(lotse("stats", "--json").output)["open"] == 0


def test_the_agenda_groups_by_topic_with_the_present_answer(lotse: Lotse) -> None:
    fill()
    agenda = lotse("agenda").output
    assert agenda.index("## Grundlagen") < agenda.index("## Ohne Thema")
    assert "- **Was ist EfA?**" in agenda
    assert "gefragt von: Anna" in agenda
    assert "jetzige Antwort (Was ist EfA?): Einer für Alle." in agenda
    assert "Wie lange?" not in agenda
    everything = lotse("agenda", "--open").output
    assert "Wie lange?" in everything
    assert r"Was kostet \*das\*?" in everything


def test_an_empty_agenda_says_so(lotse: Lotse) -> None:
    assert "nichts vorgemerkt" in lotse("agenda").output


def test_config_shows_all_settings_and_no_secret(lotse: Lotse) -> None:
    shown = lotse("config", LOTSE_HASH_KEY="hochgeheim").output
    assert "LOTSE_HASH_KEY" in shown
    assert "Umgebung LOTSE_HASH_KEY" in shown
    assert "hochgeheim" not in shown


@pytest.mark.parametrize("command", ["run", "config", "stats", "agenda", "doctor"])
def test_a_wrong_setting_ends_every_command_with_its_name(lotse: Lotse, command: str) -> None:
    ran = lotse(command, LOTSE_LIMIT_PER_MINUTE="viele")
    assert ran.exit_code == (1 if command == "doctor" else 3)
    assert "LOTSE_LIMIT_PER_MINUTE" in ran.output


def test_data_of_a_person_is_exported_and_erased(lotse: Lotse) -> None:
    fill()
    stored = json.loads(lotse("data", "export", "@anna:ort.de").output)
    assert len(stored["inbox"]) == 7
    assert lotse("data", "erase", "@anna:ort.de").output.startswith("Gelöscht: Fragen 7,")
    assert not any(json.loads(lotse("data", "export", "@anna:ort.de").output).values())


def test_a_backup_is_restored_and_the_present_store_kept(lotse: Lotse, tmp_path: Path) -> None:
    fill()
    before = lotse("stats", "--json").output
    assert lotse("backup", "copy.db").exit_code == 0
    assert "gibt es schon" in lotse("backup", "copy.db").output
    lotse("data", "erase", "@anna:ort.de")
    restored = lotse("restore", "copy.db")
    assert restored.exit_code == 0, restored.output
    assert lotse("stats", "--json").output == before
    assert len(json.loads(lotse("data", "export", "@anna:ort.de").output)["inbox"]) == 7
    assert len(list((tmp_path / "data").glob("lotse.db.vor-*"))) == 1
    assert (tmp_path / "data" / "lotse.db").stat().st_mode & 0o777 == 0o600


def test_what_is_no_backup_is_not_restored(lotse: Lotse, tmp_path: Path) -> None:
    fill()
    before = lotse("stats", "--json").output
    (tmp_path / "wrong.db").write_text("kein Speicher")
    assert "keine unbeschädigte Sicherung" in lotse("restore", "wrong.db").output
    lotse("backup", "newer.db")
    with closing(sqlite3.connect("newer.db")) as opened:
        opened.execute("UPDATE meta SET version = 99")
        opened.commit()
    assert "neueren Programm" in lotse("restore", "newer.db").output
    assert lotse("stats", "--json").output == before


def test_nothing_is_restored_under_a_running_bot(lotse: Lotse) -> None:
    fill()
    lotse("backup", "copy.db")
    seat = Seat.take(Path("data"))
    assert "läuft noch" in lotse("restore", "copy.db").output
    seat.leave()
    assert lotse("restore", "copy.db").exit_code == 0


def test_run_without_a_platform_says_what_to_set(lotse: Lotse, adapters: list[Any]) -> None:
    adapters.clear()
    ran = lotse("run")
    assert ran.exit_code == 2
    assert "LOTSE_MATRIX_HOMESERVER" in ran.output


def test_run_with_broken_knowledge_says_what_is_wrong(lotse: Lotse, tmp_path: Path) -> None:
    (tmp_path / "wissen" / "a.yaml").write_text("entries: [")
    ran = lotse("run")
    assert ran.exit_code == 1
    assert "a.yaml" in ran.output


def test_run_with_a_store_that_cannot_be_used_names_the_setting(
    lotse: Lotse, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ran = lotse("run", LOTSE_DATA_DIR="file/data")
    assert ran.exit_code == 5
    assert "LOTSE_DATA_DIR" in ran.output


def test_run_ends_when_the_only_credential_is_refused(lotse: Lotse, adapters: list[Any]) -> None:
    async def run(_desk: object) -> None:
        raise CredentialRefused("LOTSE_FAKE_TOKEN: abgelehnt.")

    adapters[0].run = run
    ran = lotse("run")
    assert ran.exit_code == 4
    assert "LOTSE_FAKE_TOKEN" in ran.output


def test_the_doctor_is_content_with_a_sound_house(lotse: Lotse) -> None:
    fill()
    ran = lotse("doctor")
    assert ran.exit_code == 0, ran.output
    assert "FEHLER" not in ran.output
    assert "Wissensbestand mit 1 Einträgen" in ran.output


def test_the_doctor_says_what_to_do(lotse: Lotse, adapters: list[Any], tmp_path: Path) -> None:
    fill()
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "wissen" / "a.yaml").write_text("entries: [")

    async def examine() -> list[Finding]:
        return [Finding("Gerät unsigniert", "Neu anmelden."), Finding("Schlüssel: 50")]

    adapters[0].examine = examine
    ran = lotse("doctor")
    assert ran.exit_code == 1
    assert "→ chmod 700 data" in ran.output
    assert "→ „lotse check“ nennt sie." in ran.output
    assert "FEHLER  Gerät unsigniert → Neu anmelden." in ran.output
    assert "OK      Schlüssel: 50" in ran.output


def test_the_doctor_lists_what_was_given_up(lotse: Lotse) -> None:
    async def give_up() -> None:
        journal = await open_journal(settings())
        await journal.receive([message("m1", "Was ist EfA?")], None, 0)
        (job,) = await journal.claim("worker", [("fake", "")], 1)
        await journal.given_up(job)
        await journal.store.close()

    asyncio.run(give_up())
    ran = lotse("doctor")
    assert "WARNUNG Aufgegeben: fake, Raum room" in ran.output
    assert "EfA?" not in ran.output

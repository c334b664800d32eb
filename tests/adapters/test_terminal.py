"""A conversation through the terminal adapter: what a new adapter has to do, and no more."""

from __future__ import annotations

import asyncio
import io

from adapters.terminal import CONVERSATION, Terminal
from bot.chat import HandedOver, Marked, Rated, Rating
from bot.memory import MemoryDesk
from tests.smallworld import edition


def _talk(*lines: str) -> tuple[str, MemoryDesk]:
    out = io.StringIO()
    terminal = Terminal(io.StringIO("".join(f"{line}\n" for line in lines)), out, asker="Bo")
    desk = MemoryDesk(terminal, edition)
    asyncio.run(asyncio.wait_for(terminal.run(desk), 10))
    return out.getvalue(), desk


def test_greets_answers_and_ends_with_the_input() -> None:
    said, _ = _talk("Was passiert im Keller?", "und danach?")
    greeting, keller, wand = (said.index(t) for t in ("Guten Tag!", "gegraben", "gemauert"))
    assert greeting < keller < wand
    assert "Bitte keine personenbezogenen Daten" in said
    assert said.count("keine KI") == 1


def test_options_and_sources_are_plain_text() -> None:
    said, _ = _talk("Was passiert im Keller?")
    assert "Weiter: 1 Phase 2 – Wand" in said
    assert "Quelle: Alte Folien" in said
    assert "**" not in said


def test_a_person_is_named_as_text() -> None:
    assert "@ada, für Sie von Bo:" in _talk("zeige Phase 2 @ada")[0]


def test_ratings_are_kept_once_and_can_change() -> None:
    _, desk = _talk("Was passiert im Keller?", "ja", "ja", "nein", "2")
    assert desk.ratings == {("Bo", "keller"): Rated(Rating.DOWN, "keller", "outdated")}


def test_noted_questions_are_erased_with_everything_else() -> None:
    asked = ("Phase Kontakt Gewerke Wand Keller", "0", "1", "Was ist Modell Alpha?")
    _, desk = _talk(*asked, "für die Sprechstunde merken")
    kinds = [type(event) for _, event in desk.noted]
    assert HandedOver in kinds
    assert Marked in kinds
    _, desk = _talk(*asked, "ja", "meine daten löschen", "ja")
    assert (desk.noted, desk.ratings) == ([], {})


def test_the_desk_answers_what_adapters_ask() -> None:
    async def scene() -> None:
        terminal = Terminal(io.StringIO(), io.StringIO(), asker="Bo")
        desk = MemoryDesk(terminal, edition)
        assert not await desk.has_answered(CONVERSATION)
        await desk.joined(CONVERSATION, "0")
        assert await desk.has_answered(CONVERSATION)
        assert await desk.is_own(CONVERSATION, "0")
        await desk.receive([], cursor=("seite", "7"))
        assert await desk.cursor("seite") == "7"
        assert (await desk.preview("Was ist Modell Alpha?")).entry == "modell-alpha"
        assert "abc123" in await desk.edition()
        await desk.retracted(CONVERSATION, "0")
        assert not await desk.is_own(CONVERSATION, "0")

    asyncio.run(scene())

"""The core is total, pure and keeps threads apart, whatever is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chat import Conversation, Message, Outcome, Reply
from bot.markup import plain
from bot.talk.answering import State, answer, greeting
from bot.talk.conversation import MAX_BYTES
from bot.talk.replies import MAX_REPLY
from tests.smallworld import NOON, Talk, edition

SAID = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            *"0123456789",
            "danach?",
            "davor",
            "mehr",
            "Quelle?",
            "warum?",
            "als Vermerk",
            "ja",
            "nein",
            "Was passiert im Keller?",
            "Phase 2",
            "Wie anmelden?",
            "Was ist Modell Alpha und wer zahlt das?",
            "meine daten löschen",
            "themen",
            "phasen",
            "zeige Phase 2 @ada",
            "an das Team",
            "Hallo",
            "👍",
            "0",
            "für die Sprechstunde merken",
            "gilt das auch für Phase 3?",
            "Vor- und Nachteile",
            "falsch",
        ]
    ),
)


def _message(text: str, thread: str = "a", minute: int = 0) -> Message:
    room = Conversation("test", "", "room", thread)
    return Message(room, "1", "someone", text, NOON + timedelta(minutes=minute))


@settings(max_examples=150, deadline=None)
@given(said=st.lists(SAID, max_size=12), pause=st.integers(0, 40))
def test_any_conversation_is_answered_within_the_limits(said: list[str], pause: int) -> None:
    state = State()
    for n, text in enumerate(said):
        reply, state = answer(_message(text, minute=n * pause), state, edition())
        assert plain(reply).strip()
        assert len(plain(reply)) <= MAX_REPLY
        assert len(state.to_json().encode()) < MAX_BYTES
        assert State.from_json(state.to_json()) == state
        numbers = [o.number for o in reply.options if o.number]
        assert numbers == list(range(1, len(numbers) + 1))
        if numbers:
            assert len(state.offers) == len(numbers)


@settings(max_examples=40, deadline=None)
@given(ours=st.lists(SAID, max_size=6), theirs=st.lists(SAID, max_size=6))
def test_threads_do_not_know_of_each_other(ours: list[str], theirs: list[str]) -> None:
    def thread(said: list[str], name: str) -> list[Reply]:
        return [reply for reply, _ in _turns(said, name)]

    def _turns(said: list[str], name: str) -> list[tuple[Reply, State]]:
        state, turns = State(), []
        for n, text in enumerate(said):
            reply, state = answer(_message(text, name, n), state, edition())
            turns.append((reply, state))
        return turns

    alone = thread(ours, "a")
    states = {"a": State(), "b": State()}
    mixed = []
    for n in range(max(len(ours), len(theirs))):
        for name, said in (("b", theirs), ("a", ours)):
            if n < len(said):
                reply, states[name] = answer(_message(said[n], name, n), states[name], edition())
                mixed += [reply] if name == "a" else []
    assert mixed == alone


def test_another_process_can_answer_the_next_message() -> None:
    first, second = Talk(), Talk()
    first.say("Was passiert im Keller?")
    second.state = State.from_json(first.state.to_json())
    second.now = first.now
    assert first.say("danach?") == second.say("danach?")


def test_hostile_texts_are_answered() -> None:
    for text in (
        "?" * 5_000,
        "a" * 1_000_000,
        "\ud800",
        "\x00\x1b[31m",
        "‮abc",
        " \n" * 10_000,
        "und " * 9_000,
    ):
        assert plain(Talk().say(text))


def test_knowledge_that_changed_meanwhile() -> None:
    offers = ("fort", "@browse:99:0", "@browse:x", "@fort")
    for text in ("1", "2", "3", "4", "5", "danach?", "mehr", "Quelle?", "ja", "warum?", "Keller"):
        talk = Talk()
        talk.state = State(topic="fort", shown="fort", offers=offers).after(NOON)
        assert plain(talk.say(text))


def test_the_greeting_says_who_is_there() -> None:
    reply = greeting(edition(), replace(_message(""), direct=True))
    assert reply.outcome is Outcome.SMALLTALK
    for part in ("Leitfaden", "keine KI", "personenbezogenen"):
        assert part in reply.body

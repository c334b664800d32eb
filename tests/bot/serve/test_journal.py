"""The journal's contract, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text, update

from bot.chat import (
    Conversation,
    Erase,
    Feedback,
    HandedOver,
    Marked,
    Outcome,
    Posted,
    Purpose,
    Rated,
    Rating,
    Reply,
    StoreUnavailable,
    Unanswered,
)
from bot.serve.journal import HandOver, Job, Journal, LeaseLost, Removed, key_of
from bot.serve.store import now, open_store
from bot.serve.tables import Kind, State, holds, inbox, meta, metadata
from tests.fakes import ROOM, TEAM, message

ROUTES = [("fake", "")]
ANSWER = Reply(Outcome.ANSWER, "Einer für Alle.", entry="efa", rateable=True)
DAY_S = 86_400.0


async def ask(journal: Journal, id: str, words: str = "Was ist EfA?", **fields: Any) -> None:  # noqa: A002
    await journal.receive([message(id, words, **fields)], None, 0)


async def claim(journal: Journal, owner: str = "worker", limit: int = 10) -> list[Job]:
    return await journal.claim(owner, ROUTES, limit)


async def settle(journal: Journal, reply: Reply = ANSWER, posted: str = "p1", **more: Any) -> Job:
    """Claim the one open row, answer and deliver it."""
    (job,) = await claim(journal, limit=1)
    said = await journal.answered(job, reply, '{"topic":"efa"}', **more)
    await journal.delivered(replace(job, reply=said), Posted((posted,)))
    return job


async def rows(journal: Journal, table: str = "inbox") -> list[dict[str, Any]]:
    query = select(metadata.tables[table])
    return await journal.store.read(lambda c: [dict(r._mapping) for r in c.execute(query)])


async def everything(journal: Journal) -> str:
    """All that is stored, as one text to search in."""
    return "".join([str(await rows(journal, name)) for name in metadata.tables])


async def age(journal: Journal, seconds: float) -> None:
    """Make everything older than it is."""

    def work(connection: Any) -> None:
        connection.execute(
            update(inbox).values(received=inbox.c.received - seconds, done=inbox.c.done - seconds)
        )
        connection.execute(text(f"UPDATE items SET at = at - {seconds}"))
        connection.execute(text(f"UPDATE threads SET answered = answered - {seconds}"))

    await journal.store.write(work)


# --- taking in ------------------------------------------------------------------


async def test_a_message_is_journalled_once_with_its_cursor(journal: Journal) -> None:
    again = [message("m1"), message("m1"), message("m2")]
    await journal.receive(again, ("next_batch", "s1"), 0)
    await journal.receive(again, ("next_batch", "s2"), 0)
    assert [r["message_id"] for r in await rows(journal)] == ["m1", "m2"]
    assert await journal.cursor("next_batch") == "s2"
    assert await journal.cursor("other") is None


async def test_the_same_id_in_another_room_is_another_message(journal: Journal) -> None:
    await ask(journal, "m1")
    await ask(journal, "m1", conversation=replace(ROOM, room="elsewhere"))
    await ask(journal, "m1", conversation=replace(ROOM, workspace="other"))
    assert len(await rows(journal)) == 3


async def test_a_cancelled_receive_is_all_or_nothing(journal: Journal) -> None:
    for number in range(20):
        task = asyncio.ensure_future(ask(journal, f"m{number}"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await ask(journal, "last")
    stored = [(r["message_id"], r["text"]) for r in await rows(journal)]
    assert ("last", "Was ist EfA?") in stored
    assert len(stored) == len(set(stored))
    assert {words for _, words in stored} == {"Was ist EfA?"}


async def test_the_limit_refuses_and_says_so_once(journal: Journal) -> None:
    for number in range(6):
        await journal.receive([message(f"m{number}")], None, 2)
    await journal.receive([message("other", asker="@ben:ort.de")], None, 2)
    stored = await rows(journal)
    by_state = {r["message_id"]: r["state"] for r in stored}
    assert by_state == {
        "m0": State.OPEN,
        "m1": State.OPEN,
        "m2": State.REFUSED,
        "limit:m2": State.OPEN,
        "m3": State.REFUSED,
        "m4": State.REFUSED,
        "m5": State.REFUSED,
        "other": State.OPEN,
    }
    assert all(
        r["text"] is None and r["message"] is None for r in stored if r["state"] == "refused"
    )


async def test_the_limit_ends_after_a_minute(journal: Journal) -> None:
    for number in range(3):
        await journal.receive([message(f"m{number}")], None, 2)
    await age(journal, 61)
    await journal.receive([message("later")], None, 2)
    assert (await rows(journal))[-1]["state"] == State.OPEN


async def test_what_was_refused_does_not_lengthen_the_silence(journal: Journal) -> None:
    for number in range(5):
        await journal.receive([message(f"m{number}")], None, 2)
    accepted = update(inbox).where(inbox.c.state == State.OPEN)
    earlier = accepted.values(received=inbox.c.received - 61)
    await journal.store.write(lambda c: c.execute(earlier).rowcount)
    await journal.receive([message("later")], None, 2)
    assert (await rows(journal))[-1]["state"] == State.OPEN


async def test_a_thread_has_a_limit_against_bots_that_answer_each_other(journal: Journal) -> None:
    for number in range(10):
        await journal.receive([message(f"m{number}", asker=f"@bot{number}")], None, 2)
    states = [r["state"] for r in await rows(journal) if r["purpose"] == Purpose.ANSWER]
    assert states == [State.OPEN] * 8 + [State.REFUSED] * 2


# --- leases ---------------------------------------------------------------------


async def test_order_holds_within_a_conversation_and_nothing_waits_for_another(
    journal: Journal,
) -> None:
    for room in ("a", "b"):
        for number in (1, 2):
            where = replace(ROOM, room=room)
            await ask(journal, f"{room}{number}", conversation=where)
    assert [j.message.id for j in await claim(journal)] == ["a1", "b1"]
    assert await claim(journal) == []


async def test_two_workers_never_hold_the_same_row(journal: Journal) -> None:
    for number in range(30):
        await ask(journal, "m", conversation=replace(ROOM, room=f"r{number}"))
    claims = await asyncio.gather(*(claim(journal, f"w{n}", 10) for n in range(6)))
    ids = [job.id for jobs in claims for job in jobs]
    while more := await claim(journal):
        ids += [job.id for job in more]
    assert sorted(ids) == sorted(set(ids))
    assert len(ids) == 30


async def test_only_served_routes_are_claimed(journal: Journal) -> None:
    await ask(journal, "m1")
    assert await journal.claim("w", [("fake", "other"), ("slack", "")], 5) == []
    assert await journal.claim("w", [], 5) == []
    assert len(await journal.claim("w", [("fake", "w")], 5)) == 1


async def test_a_dead_workers_row_is_taken_over_and_its_ghost_changes_nothing(
    journal: Journal,
) -> None:
    await ask(journal, "m1")
    (lost,) = await claim(journal)
    await expire(journal)
    (taken,) = await claim(journal, "other")
    with pytest.raises(LeaseLost):
        await journal.answered(lost, ANSWER, "{}")
    await journal.answered(taken, ANSWER, "{}")
    with pytest.raises(LeaseLost):
        await journal.delivered(lost, Posted(("ghost",)))
    await journal.failed(lost, 99, counts=True, unsent=False)
    await journal.delivered(taken, Posted(("p1",)))
    assert not await journal.is_own(ROOM, "ghost")


async def expire(journal: Journal) -> None:
    await journal.store.write(lambda c: c.execute(update(inbox).values(leased_until=1)).rowcount)


async def test_the_stored_reply_is_delivered_after_a_takeover(journal: Journal) -> None:
    await ask(journal, "m1")
    (first,) = await claim(journal)
    await journal.answered(first, ANSWER, "{}")
    await expire(journal)
    (second,) = await claim(journal)
    assert (second.reply, second.key) == (ANSWER, first.key)
    assert (first.attempt, second.attempt) == (1, 2)


async def test_renewing_keeps_a_lease_and_release_frees_it(journal: Journal) -> None:
    await ask(journal, "m1")
    (job,) = await claim(journal, "w1")
    await expire(journal)
    await journal.renew("w1", [job.id])
    assert await claim(journal, "w2") == []
    assert await journal.release("w1") == 1
    assert len(await claim(journal, "w2")) == 1


async def test_a_lease_that_nobody_has_in_hand_runs_out(journal: Journal) -> None:
    """The worker was cancelled while the store gave it the row."""
    await ask(journal, "m1")
    await claim(journal, "w1")
    await expire(journal)
    await journal.renew("w1", [])
    assert len(await claim(journal, "w1")) == 1


async def test_a_new_row_is_leased_at_once_where_nothing_waits_before_it(
    journal: Journal,
) -> None:
    async def receive(*ids: str, room: int = 5) -> list[Job]:
        messages = [message(id_) for id_ in ids]
        return await journal.receive(messages, None, 0, owner="w1", room=room)

    assert await receive("m0", room=0) == []
    (held,) = await claim(journal, "w1")
    assert await receive("m1") == []  # m0 comes first
    await journal.answered(held, ANSWER, "{}")
    await journal.delivered(held, Posted(("p0",)))
    (waited,) = await claim(journal, "w1")
    assert waited.message.id == "m1"
    await journal.answered(waited, ANSWER, '{"topic": "efa"}')
    await journal.delivered(waited, Posted(("p1",)))

    (job,) = await receive("m2", "m3")
    assert await receive("m2") == []  # known
    assert await claim(journal, "w2") == []
    assert (job.message, job.state, job.attempt) == (message("m2"), '{"topic": "efa"}', 1)
    assert await journal.answered(job, ANSWER, "{}")
    await expire(journal)
    (again,) = await claim(journal, "w2")  # w1 has died
    assert (again.key, again.reply, again.attempt) == (job.key, ANSWER, 2)


async def test_an_edit_that_is_leased_at_once_replaces_the_answer(journal: Journal) -> None:
    await ask(journal, "m1")
    (first,) = await claim(journal)
    await journal.answered(first, ANSWER, '{"topic": "efa"}')
    await journal.delivered(first, Posted(("p1",)))
    edit = message("m1/e", replaces="m1")
    (job,) = await journal.receive([edit], None, 0, owner="w", room=1)
    assert (job.replaces, job.state, job.keeps_state) == (("p1",), None, True)


async def test_what_a_dead_worker_may_be_sending_is_left_to_settle(journal: Journal) -> None:
    await ask(journal, "m1")
    (job,) = await claim(journal, "w1")
    await journal.answered(job, ANSWER, "{}")
    await journal.release("w1")
    assert await claim(journal, "w2") == []
    await journal.store.write(lambda c: c.execute(update(inbox).values(due=now())).rowcount)
    assert len(await claim(journal, "w2")) == 1


@pytest.mark.parametrize("column", ["leased_until", "due"])
async def test_a_clock_that_jumped_back_strands_no_row(journal: Journal, column: str) -> None:
    await ask(journal, "m1")
    await claim(journal, "w1")
    ahead = {"leased_until": 0, "due": 0} | {column: now() + 5 * DAY_S}
    await journal.store.write(lambda c: c.execute(update(inbox).values(**ahead)).rowcount)
    assert len(await claim(journal, "w2")) == 1


async def test_a_failed_delivery_waits_and_counts(journal: Journal) -> None:
    await ask(journal, "m1")
    (job,) = await claim(journal)
    await journal.answered(job, ANSWER, "{}")
    await journal.failed(job, 60, counts=True, unsent=False)
    assert await claim(journal) == []
    await journal.store.write(lambda c: c.execute(update(inbox).values(due=0)).rowcount)
    (again,) = await claim(journal)
    assert (again.failures, again.attempt) == (1, 2)
    await journal.failed(again, 0, counts=False, unsent=True)
    (third,) = await claim(journal)
    assert (third.failures, third.attempt) == (1, 2)


async def test_a_dead_row_is_listed_counted_and_lets_the_next_one_pass(journal: Journal) -> None:
    await ask(journal, "m1")
    await ask(journal, "m2")
    (job,) = await claim(journal)
    await journal.answered(job, ANSWER, "{}")
    await journal.given_up(job)
    assert [d.room for d in await journal.dead()] == ["room"]
    assert (await journal.stats()).dead == 1
    assert [j.message.id for j in await claim(journal)] == ["m2"]


async def test_a_question_that_kills_its_workers_is_given_up(journal: Journal) -> None:
    await ask(journal, "m1")
    await journal.store.write(lambda c: c.execute(update(inbox).values(claims=20)).rowcount)
    assert await claim(journal) == []
    assert (await journal.stats()).dead == 1


# --- answers --------------------------------------------------------------------


async def test_the_raw_id_is_gone_when_the_row_is_done(journal: Journal) -> None:
    await ask(journal, "m1", context={"url": "secret-url"})
    assert "@anna:ort.de" in await everything(journal)
    await settle(journal)
    stored = await everything(journal)
    assert "@anna:ort.de" not in stored
    assert "secret-url" not in stored
    assert journal.hash(ROOM, "@anna:ort.de") in stored


async def test_reply_state_and_events_are_one_transaction(journal: Journal) -> None:
    await ask(journal, "m1")
    (job,) = await claim(journal)

    def breaks(said: Reply, removed: Removed) -> Reply:
        raise OSError("in the middle")

    events = (Unanswered("Was kostet das?"), Erase())
    with pytest.raises(StoreUnavailable):
        await journal.answered(job, replace(ANSWER, events=events), "{}", None, breaks)
    assert await rows(journal, "items") == []
    assert await rows(journal, "threads") == []
    assert (await rows(journal))[0]["reply"] is None


async def test_the_state_of_a_thread_follows_its_answers(journal: Journal) -> None:
    await ask(journal, "m1")
    await settle(journal)
    await ask(journal, "m2")
    await ask(journal, "m3", conversation=replace(ROOM, thread="t"))
    states = {j.message.id: j.state for j in await claim(journal)}
    assert states == {"m2": '{"topic":"efa"}', "m3": None}
    assert await journal.has_answered(ROOM)
    assert not await journal.has_answered(replace(ROOM, thread="t"))


async def test_an_edit_starts_where_its_question_started_and_replaces_its_answer(
    journal: Journal,
) -> None:
    await ask(journal, "m1")
    await settle(journal, posted="p1")
    await ask(journal, "e1", "Was ist FIM?", replaces="m1")
    (edit,) = await claim(journal)
    assert (edit.state, edit.keeps_state, edit.replaces) == (None, True, ("p1",))
    await journal.answered(edit, ANSWER, '{"topic":"fim"}')
    await journal.delivered(edit, Posted(("p1-edited",)))
    await ask(journal, "m2")
    (next_one,) = await claim(journal)
    assert next_one.state == '{"topic":"fim"}'
    await journal.answered(next_one, ANSWER, '{"topic":"next"}')
    await journal.delivered(next_one, Posted(("p2",)))
    await ask(journal, "e2", "Und FIM?", replaces="m1")
    (late,) = await claim(journal)
    assert (late.state, late.keeps_state, late.replaces) == (None, False, ("p1",))
    await journal.answered(late, ANSWER, '{"topic":"old"}')
    await journal.delivered(late, Posted(("p1-again",)))
    await ask(journal, "m3")
    assert (await claim(journal))[0].state == '{"topic":"next"}'


async def test_an_edit_before_the_answer_is_answered_alone(journal: Journal) -> None:
    await ask(journal, "m1")
    await ask(journal, "e1", replaces="m1")
    (job,) = await claim(journal)
    assert (job.message.id, job.replaces) == ("e1", ())


async def test_an_edit_of_a_split_answer_names_all_its_parts(journal: Journal) -> None:
    await ask(journal, "m1")
    (job,) = await claim(journal)
    await journal.answered(job, ANSWER, "{}")
    await journal.delivered(job, Posted(("a", "b")))
    await ask(journal, "e1", replaces="m1")
    assert (await claim(journal))[0].replaces == ("a", "b")


async def test_a_shown_answer_is_posted_again_but_not_counted(journal: Journal) -> None:
    await ask(journal, "m1")
    await settle(journal)
    key = key_of(ROOM, "m1")
    assert await journal.shown(key, message("show"))
    assert await journal.shown(key, message("show"))
    assert not await journal.shown("unknown", message("show2"))
    (job,) = await claim(journal)
    assert job.reply == ANSWER
    await journal.delivered(job, Posted(("p2",)))
    assert (await journal.stats()).outcomes == {"answer": 1}


# --- deleting -------------------------------------------------------------------


async def test_a_question_deleted_before_its_answer_gets_none(journal: Journal) -> None:
    await ask(journal, "m1")
    await journal.retracted(ROOM, "m1")
    assert await claim(journal) == []
    assert "EfA" not in await everything(journal)


async def test_a_question_deleted_while_it_is_thought_about_gets_none(journal: Journal) -> None:
    await ask(journal, "m1")
    (job,) = await claim(journal)
    await journal.retracted(ROOM, "m1")
    with pytest.raises(LeaseLost):
        await journal.answered(job, ANSWER, "{}")


async def test_an_answer_under_way_is_withdrawn_when_it_is_there(journal: Journal) -> None:
    await ask(journal, "m1")
    (job,) = await claim(journal)
    await journal.answered(job, ANSWER, "{}")
    await journal.retracted(ROOM, "m1")
    await journal.delivered(job, Posted(("p1",)))
    (work,) = await claim(journal)
    assert work.withdraw == Posted(("p1",))
    await journal.withdrawn(work)
    assert await claim(journal) == []


async def test_a_delivered_answer_is_withdrawn_with_those_to_its_edits(journal: Journal) -> None:
    await ask(journal, "m1", "Was ist EfA?")
    await settle(journal, posted="p1")
    await ask(journal, "e1", "Was ist FIM?", replaces="m1")
    await settle(journal, posted="p2")
    await journal.retracted(ROOM, "m1")
    await journal.retracted(ROOM, "m1")
    withdrawn = [j.withdraw for j in await claim(journal)]
    assert withdrawn == [Posted(("p1",)), Posted(("p2",))]
    stored = await everything(journal)
    assert "Was ist" not in stored


async def test_a_deleted_question_is_forgotten_by_its_thread(journal: Journal) -> None:
    for number, words in ((1, "Was ist EfA?"), (2, "Wer zahlt das?"), (3, "mehr")):
        await ask(journal, f"m{number}", words)
        (job,) = await claim(journal)
        remembered = "Was ist EfA?" if number == 1 else "Wer zahlt das?"
        await journal.answered(job, ANSWER, f'{{"question":"{remembered}"}}')
        await journal.delivered(job, Posted((f"p{number}",)))
    await journal.retracted(ROOM, "m3")
    assert "Wer zahlt das?" in str(await rows(journal, "threads"))
    await journal.retracted(ROOM, "m2")
    assert "Wer zahlt das?" not in str(await rows(journal, "threads"))


async def test_a_message_sent_again_after_its_deletion_is_not_answered(journal: Journal) -> None:
    await ask(journal, "m1")
    await settle(journal)
    await journal.retracted(ROOM, "m1")
    await ask(journal, "m1")
    assert all(job.withdraw for job in await claim(journal))


# --- feedback -------------------------------------------------------------------


async def test_a_rating_is_idempotent_changeable_and_can_be_taken_back(journal: Journal) -> None:
    await ask(journal, "m1")
    await settle(journal, posted="p1")

    async def rate(rating: Rating | None, asker: str = "@anna:ort.de") -> dict[str, int]:
        await journal.rated(Feedback(ROOM, "p1", asker, rating))
        return dict((await journal.stats()).ratings)

    assert await rate(Rating.UP) == {"up": 1}
    assert await rate(Rating.UP) == {"up": 1}
    assert await rate(Rating.DOWN) == {"down": 1}
    assert await rate(Rating.UP, "@ben:ort.de") == {"up": 1, "down": 1}
    assert await rate(None) == {"up": 1}


async def test_a_word_rates_the_same_answer_as_the_button(journal: Journal) -> None:
    await ask(journal, "m1")
    await settle(journal, posted="p1")
    await ask(journal, "m2", "hilfreich")
    thanks = Reply(Outcome.SMALLTALK, "Danke.", events=(Rated(Rating.UP, "efa"),))
    await settle(journal, thanks, posted="p2")
    await journal.rated(Feedback(ROOM, "p1", "@anna:ort.de", Rating.DOWN))
    assert (await journal.stats()).ratings == {"down": 1}


async def test_a_rating_of_something_else_is_ignored(journal: Journal) -> None:
    await journal.rated(Feedback(ROOM, "unknown", "@anna:ort.de", Rating.UP))
    assert (await journal.stats()).ratings == {}


# --- the team -------------------------------------------------------------------


async def hand_over(journal: Journal, *, callback: bool) -> str:
    """Hand a question over and deliver it into the team's room; the id of that post."""
    await ask(journal, "m1", "Was kostet das?")
    unknown = Reply(Outcome.UNKNOWN, "?", events=(Unanswered("Was kostet das?"),))
    await settle(journal, unknown, posted="p1")
    await ask(journal, "m2", "4", context={"relates": "m2"})
    event = HandedOver("Was kostet das?", callback)
    done = Reply(Outcome.SMALLTALK, "Weitergegeben.", events=(event,))
    to_team = HandOver(TEAM, Reply(Outcome.SMALLTALK, "Frage: Was kostet das?"))
    await settle(journal, done, posted="p2", hand_over=to_team)
    (job,) = await claim(journal)
    assert (job.purpose, job.message.conversation) == (Purpose.HANDOVER, TEAM)
    await journal.delivered(job, Posted(("team-post",)))
    return "team-post"


def worded(question: str) -> Reply:
    return Reply(Outcome.ANSWER, f"Das Team zu „{question}“: nichts.")


async def test_a_handed_over_question_comes_back_once(journal: Journal) -> None:
    post = await hand_over(journal, callback=True)
    assert [i.kind for i in await journal.items(*Kind)] == [Kind.HANDED_OVER]
    assert await journal.team_answered(TEAM, post, worded)
    assert await journal.team_answered(TEAM, post, worded)
    (job,) = await claim(journal)
    assert (job.purpose, job.message.conversation) == (Purpose.TEAM_ANSWER, ROOM)
    assert (job.message.id, job.message.context) == ("m2", {"relates": "m2"})
    assert job.reply == worded("Was kostet das?")
    assert not await journal.team_answered(TEAM, "p1", worded)


async def test_the_way_back_is_forgotten_after_the_team_s_answer(journal: Journal) -> None:
    post = await hand_over(journal, callback=True)
    await age(journal, 2 * DAY_S)
    await journal.purge(30, 90)
    assert "@anna:ort.de" in await everything(journal)
    await journal.team_answered(TEAM, post, worded)
    (job,) = await claim(journal)
    await journal.delivered(job, Posted(("back",)))
    await journal.purge(30, 90)
    assert "@anna:ort.de" not in await everything(journal)


async def test_an_anonymous_question_has_no_way_back(journal: Journal) -> None:
    post = await hand_over(journal, callback=False)
    assert "@anna:ort.de" not in await everything(journal)
    assert await journal.team_answered(TEAM, post, worded)
    assert await claim(journal) == []


async def test_the_team_notes_a_question_for_the_knowledge(journal: Journal) -> None:
    post = await hand_over(journal, callback=False)
    assert await journal.team_noted(TEAM, post)
    assert not await journal.team_noted(TEAM, "p1")
    (item,) = await journal.items(Kind.HANDED_OVER)
    assert item.noted


async def test_marked_questions_are_kept_for_the_agenda(journal: Journal) -> None:
    await ask(journal, "m1", "für die Sprechstunde merken")
    marked = Reply(Outcome.SMALLTALK, "Gemerkt.", events=(Marked("Wann?", "efa", "Anna"),))
    await settle(journal, marked)
    (item,) = await journal.items(Kind.AGENDA)
    assert (item.question, item.entry, item.name) == ("Wann?", "efa", "Anna")


async def test_a_deleted_question_is_withdrawn_from_the_team(journal: Journal) -> None:
    await hand_over(journal, callback=True)
    await journal.retracted(ROOM, "m1")
    assert await journal.items(*Kind) == []
    assert Posted(("team-post",)) in [job.withdraw for job in await claim(journal)]


# --- data protection ------------------------------------------------------------


async def test_texts_go_after_their_time(journal: Journal) -> None:
    await hand_over(journal, callback=False)
    await age(journal, 29 * DAY_S)
    await journal.purge(30, 90)
    assert "Was kostet das?" in str(await rows(journal))
    await age(journal, 2 * DAY_S)
    await journal.purge(30, 90)
    assert all(r["text"] is None and r["asker"] is None for r in await rows(journal))
    assert "Was kostet das?" not in str(await rows(journal))
    assert len(await journal.items(*Kind)) == 1
    await age(journal, 60 * DAY_S)
    await journal.purge(30, 90)
    assert await journal.items(*Kind) == []
    assert (await journal.stats()).outcomes == {"unknown": 1, "smalltalk": 1}


async def test_what_was_said_in_a_thread_is_forgotten_before_the_thread(journal: Journal) -> None:
    await ask(journal, "m1")
    await settle(journal)
    await age(journal, 2 * DAY_S)
    await journal.purge(30, 90)
    assert await journal.has_answered(ROOM)
    assert [row["state"] for row in await rows(journal, "threads")] == [None]
    assert [row["reply"] for row in await rows(journal)] == [None]
    await age(journal, 30 * DAY_S)
    await journal.purge(30, 90)
    assert not await journal.has_answered(ROOM)


async def test_no_open_question_is_purged(journal: Journal) -> None:
    await ask(journal, "m1")
    await age(journal, 400 * DAY_S)
    await journal.purge(0, 0)
    assert (await claim(journal))[0].message.text == "Was ist EfA?"


async def test_the_asker_erases_everything_and_hears_what(journal: Journal) -> None:
    await hand_over(journal, callback=True)
    await journal.rated(Feedback(ROOM, "p1", "@anna:ort.de", Rating.UP))
    await ask(journal, "other", "Was ist FIM?", asker="@ben:ort.de")
    await settle(journal)
    await ask(journal, "m9", "ja")
    heard: list[Removed] = []

    def word(said: Reply, removed: Removed) -> Reply:
        heard.append(removed)
        return replace(said, body="Gelöscht.")

    erased = Reply(Outcome.SMALLTALK, "…", events=(Erase(),))
    await settle(journal, erased, posted="p9", word_removed=word)
    assert heard == [Removed(questions=2, ratings=1, items=1)]
    stored = await everything(journal)
    for trace in ("@anna:ort.de", journal.hash(ROOM, "@anna:ort.de"), "Was kostet das?", "topic"):
        assert trace not in stored
    assert "Was ist FIM?" in stored
    await ask(journal, "m1", "Was kostet das?")
    assert all(job.withdraw for job in await claim(journal))


async def test_the_operator_exports_and_erases_by_the_platforms_id(journal: Journal) -> None:
    await hand_over(journal, callback=True)
    exported = await journal.export("@anna:ort.de")
    assert {name: len(found) for name, found in exported.items()} == {
        "inbox": 2,
        "feedback": 0,
        "items": 1,
    }
    assert (await journal.erase("@anna:ort.de")).items == 1
    assert not any((await journal.export("@anna:ort.de")).values())
    assert await journal.erase("@nobody:ort.de") == Removed(0, 0, 0)


async def test_the_hash_depends_on_the_key(journal: Journal) -> None:
    other = Journal(journal.store, b"another key")
    assert journal.hash(ROOM, "@anna") != other.hash(ROOM, "@anna")
    assert journal.hash(ROOM, "@anna") == journal.hash(replace(ROOM, room="x"), "@anna")


# --- one of several -------------------------------------------------------------


async def test_a_hold_is_taken_by_one_renewed_and_given_back(journal: Journal) -> None:
    assert await journal.take("matrix", "a", 15)
    assert not await journal.take("matrix", "b", 15)
    assert await journal.take("matrix", "a", 15)
    await journal.give_back("matrix", "b")
    assert not await journal.take("matrix", "b", 15)
    await journal.give_back("matrix", "a")
    assert await journal.take("matrix", "b", 15)


@pytest.mark.parametrize("until", [1.0, 9e12])
async def test_a_hold_runs_out_and_no_clock_jump_keeps_it(journal: Journal, until: float) -> None:
    await journal.take("matrix", "a", 15)
    await journal.store.write(lambda c: c.execute(update(holds).values(until=until)).rowcount)
    assert await journal.take("matrix", "b", 15)


async def test_a_newer_store_is_refused(journal: Journal) -> None:
    await journal.store.write(lambda c: c.execute(update(meta).values(version=99)).rowcount)
    with pytest.raises(StoreUnavailable, match="99"):
        await journal.open()


async def test_an_older_store_is_brought_up_to_date_step_by_step(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(connection: Any) -> None:
        connection.execute(text("ALTER TABLE cursors ADD COLUMN note TEXT"))

    def second(connection: Any) -> None:
        connection.execute(text("UPDATE cursors SET note = 'migrated'"))

    await journal.receive([], ("next_batch", "s1"), 0)
    monkeypatch.setattr("bot.serve.tables.MIGRATIONS", (first, second))
    await journal.open()
    await journal.open()
    found = text("SELECT note FROM cursors")
    assert await journal.store.read(lambda c: c.execute(found).scalars().all()) == ["migrated"]
    assert await rows(journal, "meta") == [{"version": 3}]


async def test_several_processes_may_open_a_new_store_at_once(store_url: str) -> None:
    journals = [Journal(open_store(store_url), b"key") for _ in range(4)]
    await asyncio.gather(*(j.open() for j in journals))
    assert await rows(journals[0], "meta") == [{"version": 1}]
    await asyncio.gather(*(j.store.close() for j in journals))


async def test_a_conversation_of_the_team_is_no_thread_of_the_asker(journal: Journal) -> None:
    await hand_over(journal, callback=True)
    assert not await journal.has_answered(TEAM)
    assert await journal.is_own(TEAM, "team-post")
    assert not await journal.is_own(Conversation("fake", "w", "elsewhere"), "team-post")

"""The journal against a model of it: any order of asking, dying, editing, deleting, rating."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import update

from bot.chat import Feedback, Outcome, Posted, Rating, Reply
from bot.serve.journal import Job, Journal, LeaseLost
from bot.serve.store import open_store
from bot.serve.tables import inbox
from tests.fakes import ROOM, message

T = TypeVar("T")

ROOMS = st.sampled_from(["a", "b"])
ASKERS = st.sampled_from(["@anna", "@ben"])


@dataclass
class Question:
    """What the model knows of one message."""

    room: str
    asker: str
    answered: str = ""  # the reply that was stored, once and for all
    done: bool = False
    deleted: bool = False
    ratings: dict[str, Rating] = field(default_factory=dict)


class JournalModel(RuleBasedStateMachine):
    """Three workers of which any may die at any moment; one ghost of each goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.journal = Journal(open_store(f"sqlite:///{self.folder.name}/lotse.db"), b"key")
        self.do(self.journal.open())
        self.questions: dict[str, Question] = {}
        self.held: list[Job] = []  # whose lease counts
        self.ghosts: list[Job] = []  # whose lease was lost

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.do(self.journal.store.close())
        self.loop.close()
        self.folder.cleanup()

    def open_in(self, room: str) -> list[str]:
        return [
            id_
            for id_, q in self.questions.items()
            if q.room == room and not q.done and not (q.deleted and not q.answered)
        ]

    # --- what happens ---

    @rule(number=st.integers(0, 9), room=ROOMS, asker=ASKERS)
    def ask(self, number: int, room: str, asker: str) -> None:
        id_ = f"{room}{number}"
        where = replace(ROOM, room=room)
        asked = message(id_, f"Frage {id_}?", conversation=where, asker=asker)
        self.do(self.journal.receive([asked], ("sync", id_), 0))
        self.questions.setdefault(id_, Question(room, asker))
        assert self.do(self.journal.cursor("sync")) == id_

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        jobs = self.do(self.journal.claim("worker", [("fake", "")], limit))
        for job in jobs:
            if job.withdraw is not None:
                assert self.questions[job.message.id].deleted
                self.do(self.journal.withdrawn(job))
                continue
            room = job.message.conversation.room
            assert job.message.id == self.open_in(room)[0], "not the oldest of its conversation"
            assert job.id not in {h.id for h in self.held}, "leased twice"
            stored = self.questions[job.message.id].answered
            assert (job.reply.body if job.reply else "") == stored, "computed twice"
            self.held.append(job)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.held))
        question = self.questions[job.message.id]
        if job.reply is not None:
            return
        reply = Reply(Outcome.ANSWER, f"Antwort von {job.lease}", entry=job.message.id)
        try:
            self.do(self.journal.answered(job, reply, job.message.id))
        except LeaseLost:
            assert question.deleted
            self.held.remove(job)
            return
        assert not question.deleted
        question.answered = reply.body
        self.held[self.held.index(job)] = replace(job, reply=reply)

    @precondition(lambda self: any(job.reply for job in self.held))
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([job for job in self.held if job.reply]))
        self.do(self.journal.delivered(job, Posted((f"post-{job.message.id}",))))
        self.held.remove(job)
        self.questions[job.message.id].done = True

    @precondition(lambda self: self.held)
    @rule()
    def die(self) -> None:
        """All workers die; their leases run out, their ghosts stay."""
        self.ghosts += self.held
        self.held = []
        over = update(inbox).values(leased_until=0, due=0)
        self.do(self.journal.store.write(lambda c: c.execute(over).rowcount))

    @precondition(lambda self: self.ghosts)
    @rule(data=st.data())
    def a_ghost_acts(self, data: st.DataObject) -> None:
        ghost = data.draw(st.sampled_from(self.ghosts))
        self.ghosts.remove(ghost)
        if ghost.id not in {job.id for job in self.held}:
            return  # nobody took its row over: it is no ghost yet
        for act in (
            self.journal.answered(ghost, Reply(Outcome.ANSWER, "Geist"), "geist"),
            self.journal.delivered(ghost, Posted(("geist",))),
        ):
            try:
                self.do(act)
            except LeaseLost:
                continue
            raise AssertionError("a ghost changed a row that another worker holds")

    @precondition(lambda self: self.questions)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.questions)))
        question = self.questions[id_]
        self.do(self.journal.retracted(replace(ROOM, room=question.room), id_))
        question.deleted = True

    @precondition(lambda self: any(q.done for q in self.questions.values()))
    @rule(data=st.data(), asker=ASKERS, rating=st.sampled_from([*Rating, None]))
    def rate(self, data: st.DataObject, asker: str, rating: Rating | None) -> None:
        done = sorted(id_ for id_, q in self.questions.items() if q.done)
        id_ = data.draw(st.sampled_from(done))
        question = self.questions[id_]
        where = replace(ROOM, room=question.room)
        self.do(self.journal.rated(Feedback(where, f"post-{id_}", asker, rating)))
        if rating is None:
            question.ratings.pop(asker, None)
        else:
            question.ratings[asker] = rating

    # --- what always holds ---

    @invariant()
    def the_figures_agree(self) -> None:
        stats = self.do(self.journal.stats())
        answered = sum(bool(q.answered) for q in self.questions.values())
        assert stats.outcomes.get("answer", 0) == answered
        given = [r for q in self.questions.values() for r in q.ratings.values()]
        assert stats.ratings == {r.value: given.count(r) for r in Rating if r in given}
        assert stats.open == sum(len(self.open_in(room)) for room in "ab")
        assert stats.dead == 0

    @invariant()
    def deleted_texts_are_gone(self) -> None:
        stored = self.do(self.journal.export("@anna"))
        stored_too = self.do(self.journal.export("@ben"))
        texts = str([row["text"] for row in stored["inbox"] + stored_too["inbox"]])
        for id_, question in self.questions.items():
            assert (f"Frage {id_}?" in texts) == (not question.deleted)


JournalModel.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestJournalModel = JournalModel.TestCase

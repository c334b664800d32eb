"""The Slack adapter in the stand-in: who is answered where, and with what."""

from __future__ import annotations

from pathlib import Path

from tests.slack_standin import BOT
from tests.slack_town import bot, stand_in

MENTION = f"<@{BOT}>"


async def test_a_mention_is_answered_once_in_its_thread(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        ts = await slack.say("C0AMT", f"{MENTION} Was ist EfA?")
        await slack.until(lambda: bool(slack.answers("C0AMT", ts)))
        await slack.quiet()
        [answer] = slack.answers("C0AMT")
        assert answer["thread_ts"] == ts
        assert "EfA" in answer["text"]
        assert slack.refusals == []
        assert slack.pinged == set()

"""Every question exactly once although whoever serves is killed with questions under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.matrix.asker import Asker
from tests.integration.matrix.crash import survive
from tests.integration.matrix.homeserver import Homeserver


@pytest.mark.asyncio(loop_scope="session")
async def test_three_kills(homeserver: Homeserver, anna: Asker, tmp_path: Path) -> None:
    outcome = await survive(homeserver, anna, tmp_path, kills=3, questions=15, seed=7)
    assert outcome.questions == 15
    assert (outcome.lost, outcome.twice) == (0, 0)
    assert outcome.leaks == 0

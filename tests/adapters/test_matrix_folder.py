"""What the device keeps on disk: private, whole, one process at a time."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from adapters.matrix_folder import STORE_FILE, Folder, Login
from adapters.matrix_signing import SigningKeys

USER = "@lotse/probe:ort.de"


def test_keeps_login_and_keys_privately(tmp_path: Path) -> None:
    folder = Folder(tmp_path, USER)
    assert folder.login is None
    assert folder.signing_keys is None
    folder.login = login = Login(USER, "GERAET", "geheimes-Token")
    folder.signing_keys = keys = SigningKeys.new()
    pickle_key = folder.pickle_key

    again = Folder(tmp_path, USER)
    assert (again.login, again.signing_keys, again.pickle_key) == (login, keys, pickle_key)
    assert "geheimes" not in repr(login)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    for file in ("login.json", "cross-signing.json", "pickle.key"):
        assert stat.S_IMODE((folder.path / file).stat().st_mode) == 0o600
    assert folder.path.parent.parent == tmp_path


@pytest.mark.parametrize("junk", ["", "kein JSON", "[]", '{"user": "x"}'])
def test_damaged_files_count_as_missing(tmp_path: Path, junk: str) -> None:
    folder = Folder(tmp_path, USER)
    for name in ("login.json", "cross-signing.json"):
        (folder.path / name).write_text(junk)
    assert folder.login is None
    assert folder.signing_keys is None


def test_store_is_set_aside(tmp_path: Path) -> None:
    folder = Folder(tmp_path, USER)
    for _ in range(2):
        folder.store_of("GERAET").mkdir()
        (folder.store_of("GERAET") / STORE_FILE).write_text("kaputt")
        folder.set_aside("GERAET")
        assert not folder.store_of("GERAET").exists()


async def test_second_process_waits(tmp_path: Path) -> None:
    first, second = Folder(tmp_path, USER), Folder(tmp_path, USER)
    order: list[str] = []

    async def wait() -> None:
        async with second.locked():
            order.append("second")

    async with first.locked():
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        order.append("first")
    await asyncio.wait_for(waiting, 5)
    assert order == ["first", "second"]

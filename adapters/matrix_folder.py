"""What one device of the bot keeps on disk, readable by the bot's user only (0700).

Losing `store/` costs a new device; losing `cross-signing.json` as well costs the identity.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

from adapters.matrix_signing import SigningKeys

LOCK_INTERVAL_S = 0.5
STORE_FILE = "crypto.db"


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the homeserver."""

    user: str
    device: str
    token: str

    def __repr__(self) -> str:  # a token must not reach a log
        return f"Login({self.user}, {self.device})"


class Folder:
    """`<data>/matrix/<account>/`; every file is written whole or not at all."""

    def __init__(self, data_dir: Path, user: str) -> None:
        self.path = data_dir / "matrix" / re.sub(r"[^A-Za-z0-9._-]", "_", user.lstrip("@"))
        self.store = self.path / "store"
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.path.parent, self.path, self.store):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """One process at a time; a second one waits until the first has ended."""
        with (self.path / "lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(LOCK_INTERVAL_S)
            yield

    @property
    def login(self) -> Login | None:
        try:
            return Login(**json.loads(self._read("login.json")))
        except (OSError, ValueError, TypeError):
            return None

    @login.setter
    def login(self, login: Login) -> None:
        self._write("login.json", json.dumps(asdict(login)))

    @property
    def signing_keys(self) -> SigningKeys | None:
        try:
            return SigningKeys.from_json(self._read("cross-signing.json"))
        except (OSError, ValueError):
            return None

    @signing_keys.setter
    def signing_keys(self, keys: SigningKeys) -> None:
        self._write("cross-signing.json", keys.to_json())

    @property
    def pickle_key(self) -> str:
        """The key of the crypto store, made once."""
        with contextlib.suppress(OSError):
            return self._read("pickle.key")
        self._write("pickle.key", secrets.token_hex(32))
        return self._read("pickle.key")

    def store_of(self, device: str) -> Path:
        """Where nio keeps the keys of one device (a file `STORE_FILE` in it)."""
        return self.store / device

    def set_aside(self, device: str) -> None:
        """Keep a store that cannot be read, for whoever wants to look."""
        damaged = self.store / f"{device}.damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        self.store_of(device).replace(damaged)

    def _read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def _write(self, name: str, text: str) -> None:
        new = self.path / f"{name}.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / name)

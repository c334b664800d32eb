"""A process's seat in its data folder: a lock that the kernel frees when the process dies.

Leases carry the seat's name.  Who gets a dead process's seat knows that nobody works on its
rows any more and need not wait for the leases to run out.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path
from typing import Self

from bot.chat import StoreUnavailable

KEY_FILE, ID_FILE = "hash-key", "folder-id"
MOST_SEATS = 64


class Seat:
    """One of several processes on one data folder; `owner` is the name in its leases."""

    def __init__(self, folder: Path, number: int, lock: int) -> None:
        self._folder = folder
        self._number = number
        self._lock = lock
        self._freed: set[int] = set()
        self._name = made_once(folder / ID_FILE)
        self.owner = self._owner(number)

    @classmethod
    def take(cls, data_dir: Path) -> Self:
        """The first free seat.  Raises `StoreUnavailable` where the folder cannot be used."""
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            (data_dir / "seats").mkdir(mode=0o700, exist_ok=True)
            for number in range(MOST_SEATS):
                lock = _locked(data_dir / "seats" / str(number))
                if lock is not None:
                    return cls(data_dir, number, lock)
        except OSError as error:
            raise StoreUnavailable(f"LOTSE_DATA_DIR: {data_dir}: {error.strerror}") from None
        raise StoreUnavailable(f"LOTSE_DATA_DIR: {data_dir}: mehr als {MOST_SEATS} Prozesse")

    def newly_dead(self) -> list[str]:
        """Owners on this folder whose process has ended since the last call."""
        dead = []
        for path in (self._folder / "seats").iterdir():
            number = int(path.name)
            if number == self._number:
                continue
            lock = _locked(path)
            if lock is None:
                self._freed.discard(number)
                continue
            os.close(lock)
            if number not in self._freed:
                self._freed.add(number)
                dead.append(self._owner(number))
        return dead

    def leave(self) -> None:
        os.close(self._lock)

    def _owner(self, number: int) -> str:
        return f"{self._name[:16]}-{number}"


def occupied(data_dir: Path) -> bool:
    """Whether a process works on the folder."""
    seats = data_dir / "seats"
    for path in seats.iterdir() if seats.is_dir() else ():
        lock = _locked(path)
        if lock is None:
            return True
        os.close(lock)
    return False


def made_once(path: Path) -> str:
    """The random text in `path`, made by whoever comes first; readable by the owner only."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
        with os.fdopen(os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(os.urandom(32).hex())
        try:
            os.link(mine, path)  # fails where another process was first: its text counts
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    return path.read_text().strip()


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock, None where another process has it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor

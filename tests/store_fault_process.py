"""A process whose store fails meanwhile: `python -m tests.store_fault_process FAULT FOLDER`.

Apart from the tests' process, for its limits or its user change.  Prints what became of a
question before, during and after the fault, and how many are stored in the end.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bot.chat import StoreUnavailable
from bot.serve.journal import Journal
from bot.serve.store import open_store
from tests.fakes import message

QUESTION = "Was kostet das Geheimnis? " * 3000


@contextmanager
def full(_folder: Path) -> Iterator[None]:
    """No file may grow any more."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The files may only be read: by another user, for root may write everywhere."""
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    os.seteuid(65534)
    yield
    os.seteuid(0)


async def tried(journal: Journal, id: str) -> str:  # noqa: A002
    try:
        await journal.receive([message(id, QUESTION)], None, 0)
    except StoreUnavailable as error:
        return "told" if "Geheimnis" in str(error) else "refused"
    return "stored"


async def main(fault: AbstractContextManager[None], folder: Path) -> None:
    url = f"sqlite:///{folder / 'lotse.db'}"
    journal = Journal(open_store(url), b"key")
    await journal.open()
    print(await tried(journal, "before"))
    await journal.store.close()
    journal = Journal(open_store(url), b"key")  # connects in the middle of the fault
    with fault:
        print(await tried(journal, "meanwhile"))
    print(await tried(journal, "after"))
    print((await journal.stats()).open)
    await journal.store.close()


if __name__ == "__main__":
    place = Path(sys.argv[2])
    asyncio.run(main({"full": full, "read-only": read_only}[sys.argv[1]](place), place))

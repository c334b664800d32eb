"""A real Synapse on a free loopback port, for one test session: started, used, stopped."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
READY_TIMEOUT_S = 60
PASSWORD = "ein-langes-Testkennwort"
SERVER_NAME = "localhost"
_UNLIMITED = {"per_second": 100_000, "burst_count": 100_000}
_LIMITS = (
    "message",
    "registration",
    "admin_redaction",
    "room_creation",
    "delayed_event_mgmt",
    "reports",
)
_LIMITS_BY_KIND = {
    "login": ("address", "account", "failed_attempts"),
    "joins": ("local", "remote"),
    "invites": ("per_room", "per_user", "per_issuer"),
}


def python() -> Path:
    """The interpreter that has Synapse; `make .synapse` installs it from `lock/synapse.txt`."""
    path = Path(os.environ.get("LOTSE_TEST_SYNAPSE", ROOT / ".synapse")) / "bin" / "python"
    if not path.exists():
        raise FileNotFoundError(f"no Synapse at {path}: run `make test` or `make .synapse` first")
    return path


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Homeserver:
    """One Synapse process; `stop()` and `start()` keep its data and its port."""

    folder: Path
    port: int = field(default_factory=free_port)
    limited: bool = False  # the default rate limits of Synapse, for the test that needs them
    process: subprocess.Popen[bytes] | None = None
    _secret: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = self.folder / "hs.yaml"
        command = [str(python()), "-m", "synapse.app.homeserver", "-c", str(config)]
        if not config.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            config.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
            subprocess.run([*command, "--generate-keys"], check=True, cwd=self.folder)
        log = (self.folder / "stdout.log").open("ab")
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        self._wait_until_ready()

    def stop(self) -> None:
        """SIGKILL: a test that restarts it must not wait for Synapse's graceful end."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def register(self, name: str, *, admin: bool = False) -> str:
        """Create a user with `PASSWORD`; its full id.  Known names are left as they are."""
        nonce = self.request("GET", "/_synapse/admin/v1/register")["nonce"]
        mac = hmac.new(self._secret.encode(), digestmod=hashlib.sha1)
        mac.update(b"\0".join(p.encode() for p in (nonce, name, PASSWORD)))
        mac.update(b"\0admin" if admin else b"\0notadmin")
        body = {
            "nonce": nonce,
            "username": name,
            "password": PASSWORD,
            "admin": admin,
            "mac": mac.hexdigest(),
        }
        try:
            return str(self.request("POST", "/_synapse/admin/v1/register", body)["user_id"])
        except urllib.error.HTTPError as error:
            if error.code == 400:
                return f"@{name}:{SERVER_NAME}"
            raise

    def login(self, name: str) -> str:
        """An access token on a new device."""
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": name},
            "password": PASSWORD,
        }
        return str(self.request("POST", "/_matrix/client/v3/login", body)["access_token"])

    def request(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """One JSON request.  Raises `urllib.error.HTTPError`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read() or b"{}")

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < end:
            if self.process and self.process.poll() is not None:
                break
            try:
                self.request("GET", "/_matrix/client/versions")
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        log = (self.folder / "stdout.log").read_text(errors="replace")[-4000:]
        raise RuntimeError(f"Synapse did not start:\n{log}")

    def _config(self) -> dict[str, Any]:
        folder = self.folder
        (folder / "log.yaml").write_text(
            yaml.safe_dump({"version": 1, "root": {"level": "WARNING"}}), encoding="utf-8"
        )
        config: dict[str, Any] = {
            "server_name": SERVER_NAME,
            "listeners": [
                {
                    "port": self.port,
                    "type": "http",
                    "tls": False,
                    "bind_addresses": ["127.0.0.1"],
                    "resources": [{"names": ["client"]}],
                }
            ],
            "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
            "pid_file": str(folder / "homeserver.pid"),
            "public_baseurl": self.url + "/",
            "log_config": str(folder / "log.yaml"),
            "media_store_path": str(folder / "media"),
            "signing_key_path": str(folder / "signing.key"),
            "macaroon_secret_key": "test",
            "form_secret": "test",
            "registration_shared_secret": self._secret,
            "report_stats": False,
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "bcrypt_rounds": 4,
            "presence": {"enabled": False},
        }
        if not self.limited:
            config |= {f"rc_{name}": _UNLIMITED for name in _LIMITS}
            config |= {
                f"rc_{name}": dict.fromkeys(kinds, _UNLIMITED)
                for name, kinds in _LIMITS_BY_KIND.items()
            }
        return config

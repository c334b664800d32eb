"""The files that operators copy."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bot.config import ELSEWHERE, fields, variable

DEPLOY = Path(__file__).parent.parent / "deploy"
MOST_EXPOSED = 20  # tenths, as systemd-analyze takes it; unhardened is 96


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_unit_is_hardened() -> None:
    unit = DEPLOY / "lotse.service"
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("name", ["lotse.service", "Containerfile"])
def test_only_settings_that_exist_are_named(name: str) -> None:
    known = {variable(path) for path, _ in fields()} | {*ELSEWHERE}
    named = set(re.findall(r"LOTSE_[A-Z_]+", (DEPLOY / name).read_text()))
    assert named
    assert named <= known

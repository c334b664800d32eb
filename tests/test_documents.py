"""What the documents say is true: their commands run, their examples load, their links lead on."""

import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from bot.content.checks import check
from bot.content.knowledge import Level, load
from bot.content.yamltext import read

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "knowledge/*.md", "tests/golden/*.md")
    for path in ROOT.glob(pattern)
)


def blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def readme_commands() -> list[str]:
    lines = [line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()]
    return [line.partition("  #")[0].strip() for line in lines if line.strip()]


@pytest.mark.parametrize("command", [c for c in readme_commands() if "lotse" in c])
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path) -> None:
    script = tmp_path / "lotse"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bot "$@"\n')
    script.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,  # `lotse check` asks every phrasing, on a busy machine for a minute
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout or done.stderr  # `lotse check` has nothing to list, and says so


@pytest.mark.parametrize("command", [c for c in readme_commands() if c.startswith("make")])
def test_a_target_of_the_readme_exists(command: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_begins_with_the_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:24]
    assert any(line.startswith("make chat") for line in first_screen)
    assert any(line.startswith("make test") for line in first_screen)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), target


def test_the_examples_of_the_editors_guide_load(tmp_path: Path) -> None:
    full, smallest = blocks(ROOT / "knowledge" / "README.md", "yaml")
    (tmp_path / "a.yaml").write_text(full, encoding="utf-8")
    loaded = load(tmp_path)
    assert [p for p in check(loaded, date(2026, 11, 24)) if p.level is Level.ERROR] == []
    assert loaded.base is not None
    (tmp_path / "a.yaml").write_text(smallest, encoding="utf-8")
    assert load(tmp_path).base is not None


def test_the_index_of_the_documents_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [p.name for p in (ROOT / "docs").rglob("*.md") if p.name != "README.md"]
    assert [name for name in pages if name not in index] == []


def test_publiccode_is_readable_and_names_the_licence() -> None:
    data = read((ROOT / "publiccode.yml").read_text(encoding="utf-8")).data
    assert data["legal"]["license"] == "EUPL-1.2"
    for said in data["description"].values():
        assert len(said["shortDescription"]) <= 150
        assert 150 <= len(said["longDescription"]) <= 10_000

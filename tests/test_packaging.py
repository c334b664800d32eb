"""The wheel carries the knowledge; the locks are complete and name no host."""

import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel in an empty environment; its dependencies come from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", build, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    (site,) = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wheel = folder / built.stdout.split()[-1]
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    dependencies = [p for p in sys.path if p.endswith("site-packages")]
    (Path(site) / "dependencies.pth").write_text("\n".join(dependencies))
    return python.parent / "lotse"


def run(command: Path, *arguments: str, cwd: Path) -> str:
    """The program as installed: nothing of this checkout is on its path."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LOTSE"))}
    done = subprocess.run(
        [command, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_answers_from_another_folder(installed: Path, tmp_path: Path) -> None:
    assert "Einer für Alle" in run(installed, "ask", "Was ist EfA?", cwd=tmp_path)
    where = "import bot.content.knowledge; print(bot.content.knowledge.shipped())"
    shipped = Path(run(installed.parent / "python", "-c", where, cwd=tmp_path).strip())
    assert not shipped.is_relative_to(ROOT)
    assert {"README.md", "schema.json", "texts.yaml"} <= {p.name for p in shipped.iterdir()}


def test_the_wheel_knows_its_version(installed: Path, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert run(installed, "--version", cwd=tmp_path) == f"lotse {project['version']}\n"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_with_hashes_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links|@ ", text)
    requirements = re.findall(r"^([a-z0-9._-]+)(==\S+)?.*?(?=^[a-z#]|\Z)", text, re.M | re.S)
    assert len(requirements) > 10
    for block in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        assert re.match(r"[a-z0-9._-]+==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


EXTRAS = ("run", "matrix", "slack", "postgres")


@pytest.mark.parametrize(("lock", "extras"), [*zip(LOCKS, ((), EXTRAS), strict=True)])
def test_a_lock_holds_what_the_project_names(lock: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    for extra in extras:
        wanted += project["project"]["optional-dependencies"][extra]
    if extras:
        wanted += project["dependency-groups"]["dev"]
    names = {re.match(r"[\w.-]+", w)[0].lower().replace("_", "-") for w in wanted}  # type: ignore[index]
    text = (ROOT / lock).read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
    assert names - {"ozg-lotse"} <= locked


def test_both_locks_agree() -> None:
    core, dev = (
        dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in LOCKS
    )
    assert {name: dev.get(name) for name in core} == core

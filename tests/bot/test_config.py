"""Settings: where they come from, what wins, and what is said about wrong ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import MASK, Configuration, ConfigurationError, fields, load, variable

MATRIX = {
    "LOTSE_MATRIX_HOMESERVER": "https://matrix.ort.de",
    "LOTSE_MATRIX_USER": "@lotse:ort.de",
    "LOTSE_MATRIX_PASSWORD": "geheim",
}
SLACK = {"LOTSE_SLACK_BOT_TOKEN": "xoxb-1", "LOTSE_SLACK_APP_TOKEN": "xapp-1"}
DOCUMENTED = Path(__file__).parents[2] / "docs" / "betrieb.md"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lotse.yaml but the test's own."""
    monkeypatch.chdir(tmp_path)


def problems(environ: dict[str, str], config: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as error:
        load(environ, config)
    return error.value.problems


def origin(configuration: Configuration, name: str) -> str:
    return next(s.origin for s in configuration.table() if s.name == name)


def test_without_anything_the_defaults_hold() -> None:
    settings = load({"HOME": "/root", "PATH": "/bin"}).settings
    assert settings.limit_per_minute == 30
    assert (settings.retention_days, settings.retention_days_handed_over) == (30, 90)
    assert (settings.matrix, settings.slack) == (None, None)
    assert settings.store_url.endswith("/lotse-daten/lotse.db")


NAMES = """
DATA_DIR DATABASE_URL KNOWLEDGE_DIR LIMIT_PER_MINUTE HTTP_PORT RETENTION_DAYS HASH_KEY
MATRIX_HOMESERVER MATRIX_USER MATRIX_PASSWORD MATRIX_ACCESS_TOKEN MATRIX_TEAM_ROOM
MATRIX_INVITE_ALLOW SLACK_BOT_TOKEN SLACK_APP_TOKEN SLACK_SIGNING_SECRET SLACK_PORT
SLACK_API_URL SLACK_TEAM_CHANNEL
"""


def test_the_names_that_were_promised_are_all_there() -> None:
    assert {f"LOTSE_{name}" for name in NAMES.split()} <= {variable(p) for p, _ in fields()}


def test_environment_beats_secrets_beat_yaml_beats_default(tmp_path: Path) -> None:
    (tmp_path / "lotse.yaml").write_text(
        "limit_per_minute: 1\nretention_days: 1\nlog_level: debug\nhash_key: aus-yaml\n"
    )
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "LOTSE_LIMIT_PER_MINUTE").write_text("2\n")
    (secrets / "lotse_retention_days").write_text("2\n")
    (secrets / "andere").write_text("gehört nicht uns")
    environ = {"LOTSE_SECRETS_DIR": str(secrets), "LOTSE_LIMIT_PER_MINUTE": "3"}
    configuration = load(environ)
    settings = configuration.settings
    assert settings.limit_per_minute == 3
    assert settings.retention_days == 2
    assert settings.log_level == "debug"
    assert origin(configuration, "LOTSE_LIMIT_PER_MINUTE") == "Umgebung LOTSE_LIMIT_PER_MINUTE"
    assert origin(configuration, "LOTSE_RETENTION_DAYS").endswith("lotse_retention_days")
    assert origin(configuration, "LOTSE_LOG_LEVEL") == "lotse.yaml:3"
    assert origin(configuration, "LOTSE_DATA_DIR") == "Vorgabe"


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("aus-datei\n")
    environ = {**MATRIX, "LOTSE_MATRIX_PASSWORD_FILE": str(tmp_path / "password")}
    del environ["LOTSE_MATRIX_PASSWORD"]
    matrix = load(environ).settings.matrix
    assert matrix is not None
    assert matrix.password is not None
    assert matrix.password.get_secret_value() == "aus-datei"


def test_systemd_s_credentials_are_read(tmp_path: Path) -> None:
    (tmp_path / "lotse_hash_key").write_text("aus-systemd")
    settings = load({"CREDENTIALS_DIRECTORY": str(tmp_path)}).settings
    assert settings.hash_key is not None
    assert settings.hash_key.get_secret_value() == "aus-systemd"


def test_several_slack_workspaces(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("xoxb-2")
    (tmp_path / "lotse.yaml").write_text(
        "slack:\n"
        "  workspaces:\n"
        "  - bot_token_file: token\n"
        "    signing_secret: s\n"
        "    port: 3000\n"
        "    team_channel: C2\n"
    )
    slack = load(dict(SLACK)).settings.slack
    assert slack is not None
    tokens = [i.bot_token.get_secret_value() for i in slack.installations]
    assert tokens == ["xoxb-1", "xoxb-2"]
    assert [i.team_channel for i in slack.installations] == ["", "C2"]


def test_lists_are_separated_by_commas() -> None:
    settings = load({**MATRIX, "LOTSE_MATRIX_INVITE_ALLOW": "ort.de, @anna:stadt.de,"}).settings
    assert settings.matrix is not None
    assert settings.matrix.invite_allow == ("ort.de", "@anna:stadt.de")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load({"LOTSE_DATABASE_URL": "", "LOTSE_HTTP_PORT": " "}).settings.http_port is None


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"LOTSE_LIMIT_PER_MINUTE": "viele"}, ("LOTSE_LIMIT_PER_MINUTE", "ganze Zahl")),
        ({"LOTSE_LIMIT_PER_MINUTE": "-1"}, ("LOTSE_LIMIT_PER_MINUTE", "mindestens 0")),
        ({"LOTSE_HTTP_PORT": "70000"}, ("LOTSE_HTTP_PORT", "höchstens 65535")),
        ({"LOTSE_LOG_FORMAT": "xml"}, ("LOTSE_LOG_FORMAT", "'text' oder 'json'")),
        ({"LOTSE_LIMIT_PER_MINTE": "3"}, ("LOTSE_LIMIT_PER_MINTE", "LOTSE_LIMIT_PER_MINUTE?")),
        ({"LOTSE_DATABASE_URL": "mysql://h/d"}, ("LOTSE_DATABASE_URL", "postgresql://")),
        ({"LOTSE_MATRIX_USER": "@l:o.de"}, ("LOTSE_MATRIX_HOMESERVER", "fehlt")),
        (MATRIX | {"LOTSE_MATRIX_HOMESERVER": "ort.de"}, ("LOTSE_MATRIX_HOMESERVER", "https://")),
        (MATRIX | {"LOTSE_MATRIX_PASSWORD": ""}, ("LOTSE_MATRIX_PASSWORD", "fehlt")),
        ({"LOTSE_SLACK_BOT_TOKEN": "x"}, ("LOTSE_SLACK_APP_TOKEN", "fehlt")),
        ({"LOTSE_SLACK_APP_TOKEN": "x"}, ("LOTSE_SLACK_BOT_TOKEN", "fehlt")),
        (
            {"LOTSE_SLACK_BOT_TOKEN": "x", "LOTSE_SLACK_SIGNING_SECRET": "x"},
            ("LOTSE_SLACK_PORT", "fehlt"),
        ),
        ({"LOTSE_HASH_KEY_FILE": "/gibt/es/nicht"}, ("LOTSE_HASH_KEY_FILE", "gibt es nicht")),
        (
            {"LOTSE_HASH_KEY_FILE": "/dev/null", "LOTSE_HASH_KEY": "x"},
            ("LOTSE_HASH_KEY", "beide gesetzt"),
        ),
        ({"LOTSE_HASH_KEY_FILE": "/dev/null"}, ("LOTSE_HASH_KEY_FILE", "ist leer")),
        ({"LOTSE_SECRETS_DIR": "/gibt/es/nicht"}, ("LOTSE_SECRETS_DIR", "gibt es nicht")),
        ({"LOTSE_CONFIG": "/gibt/es/nicht"}, ("LOTSE_CONFIG", "gibt es nicht")),
        ({"LOTSE_SLACK_WORKSPACES": "[]"}, ("LOTSE_SLACK_WORKSPACES", "gibt es nicht")),
    ],
)
def test_a_wrong_setting_gives_one_german_line_with_its_name(
    environ: dict[str, str], told: tuple[str, str]
) -> None:
    (line,) = problems(environ)
    assert all(part in line for part in told), line


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("limit_per_minute: drei", ("LOTSE_LIMIT_PER_MINUTE", "lotse.yaml:1")),
        ("log_level: info\nlimt_per_minute: 3", ("LOTSE_LIMT_PER_MINUTE", "lotse.yaml:2")),
        ("matrix:\n  homserver: x", ("LOTSE_MATRIX_HOMSERVER", "LOTSE_MATRIX_HOMESERVER?")),
        ("a: [", ("lotse.yaml:", "YAML")),
        ("- a", ("lotse.yaml:1:1", "data_dir")),
        ("a: &x 1\nb: *x", ("lotse.yaml:", "Anker")),
        (
            "slack:\n  workspaces:\n  - app_token: x",
            ("slack.workspaces[1].bot_token", "fehlt"),
        ),
    ],
)
def test_a_wrong_yaml_says_where(tmp_path: Path, content: str, told: tuple[str, str]) -> None:
    (tmp_path / "lotse.yaml").write_text(content)
    assert any(all(part in line for part in told) for line in problems({})), problems({})


def test_all_problems_come_at_once() -> None:
    assert len(problems({"LOTSE_A": "1", "LOTSE_B": "1", "LOTSE_RETENTION_DAYS": "x"})) == 3


SECRET = "hochgeheim-4711"


@pytest.mark.parametrize("wrong", [{}, {"LOTSE_LIMIT_PER_MINUTE": "x"}, {"LOTSE_SLACK_PORT": "x"}])
def test_no_secret_in_table_or_message(wrong: dict[str, str]) -> None:
    environ = {
        **MATRIX,
        "LOTSE_MATRIX_PASSWORD": SECRET,
        "LOTSE_SLACK_BOT_TOKEN": SECRET,
        "LOTSE_SLACK_APP_TOKEN": SECRET,
        "LOTSE_HASH_KEY": SECRET,
        "LOTSE_DATABASE_URL": f"postgresql://lotse:{SECRET}@db/lotse",
        **wrong,
    }
    if wrong:
        assert SECRET not in "".join(problems(environ))
        return
    configuration = load(environ)
    shown = "".join(map(str, configuration.table()))
    assert SECRET not in shown
    assert f"postgresql://lotse:{MASK}@db/lotse" in shown
    assert SECRET not in repr(configuration)


@given(st.dictionaries(st.sampled_from([variable(p) for p, _ in fields()]), st.text()))
def test_no_value_breaks_loading(environ: dict[str, str]) -> None:
    with suppress(ConfigurationError):
        load({name: value.replace("\0", "") for name, value in environ.items()})


def test_every_setting_is_documented() -> None:
    page = DOCUMENTED.read_text(encoding="utf-8")
    for path, info in fields():
        assert info.description, path
        if variable(path) != "LOTSE_SLACK_WORKSPACES":
            assert f"`{variable(path)}`" in page

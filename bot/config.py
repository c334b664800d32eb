"""Settings: what the operator decides, read once at the start and never changed after.

Precedence: environment, then secrets folder, then `lotse.yaml`, then the default.  Every
value remembers where it came from; every wrong one gives a German line with its name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from bot.content.yamltext import Document, Unreadable, read
from bot.search.shelf import CACHE_DIR

PREFIX = "LOTSE_"
CONFIG, SECRETS_DIR = "LOTSE_CONFIG", "LOTSE_SECRETS_DIR"
ELSEWHERE = (CONFIG, SECRETS_DIR, CACHE_DIR)  # read where they are needed, no settings
MAX_SECRET_BYTES = 65_536
MASK = "********"


def _split(value: object) -> object:
    return [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Address = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^https?://[^\s/]+\S*$")]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, coerce_numbers_to_str=True
    )


class MatrixSettings(Section):
    """Zugang zu Matrix. Ein Konto je Bot."""

    homeserver: Address = Field(description="Adresse des Homeservers, z. B. https://matrix.ort.de")
    user: Word = Field(description="Benutzerkennung des Bots, z. B. @lotse:ort.de")
    password: SecretStr | None = Field(None, description="Passwort des Bots")
    access_token: SecretStr | None = Field(None, description="Zugangstoken statt des Passworts")
    team_room: str = Field("", description="Raum, in den weitergegebene Fragen kommen")
    invite_allow: Names = Field(
        (), description="Server oder Kennungen, die einladen dürfen; leer: eigener Server; *: alle"
    )
    ignore: Names = Field((), description="Kennungen anderer Bots, die keine Antwort bekommen")
    open_threads: bool = Field(False, description="Im Raum gestellte Fragen im Thread beantworten")
    max_age_hours: int = Field(
        72, ge=1, description="Ältere verpasste Fragen bekommen nur Bescheid"
    )

    @model_validator(mode="after")
    def _has_credential(self) -> Self:
        if not (self.password or self.access_token):
            raise ValueError(
                "LOTSE_MATRIX_PASSWORD fehlt. Bitte das Passwort des Bots oder"
                " LOTSE_MATRIX_ACCESS_TOKEN angeben."
            )
        return self


class SlackWorkspace(Section):
    """Ein Arbeitsbereich mit der dort angelegten App."""

    bot_token: SecretStr = Field(description="Bot-Token der App (xoxb-…)")
    app_token: SecretStr | None = Field(None, description="App-Token für Socket Mode (xapp-…)")
    signing_secret: SecretStr | None = Field(None, description="Signing Secret für HTTP")
    port: Port | None = Field(None, description="Port für HTTP, je Arbeitsbereich ein eigener")
    team_channel: str = Field("", description="Kanal, in den weitergegebene Fragen kommen")


class SlackSettings(Section):
    """Zugang zu Slack, zu einem oder mehreren Arbeitsbereichen."""

    bot_token: SecretStr | None = Field(None, description="Bot-Token der App (xoxb-…)")
    app_token: SecretStr | None = Field(None, description="App-Token für Socket Mode (xapp-…)")
    signing_secret: SecretStr | None = Field(None, description="Signing Secret für HTTP")
    team_channel: str = Field("", description="Kanal, in den weitergegebene Fragen kommen")
    port: Port | None = Field(None, description="Port für HTTP, Pfad /slack/events")
    host: Word = Field("127.0.0.1", description="Adresse, an der HTTP lauscht")
    api_url: Address = Field("https://slack.com/api/", description="Adresse der Slack-API")
    sockets: int = Field(1, ge=1, le=10, description="Gleichzeitige Socket-Verbindungen")
    max_age_hours: int = Field(
        72, ge=1, description="Ältere verpasste Fragen bleiben unbeantwortet"
    )
    workspaces: tuple[SlackWorkspace, ...] = Field(
        (), description="Weitere Arbeitsbereiche, nur in lotse.yaml"
    )

    @property
    def installations(self) -> tuple[SlackWorkspace, ...]:
        """Every workspace with its tokens, the one from the environment first."""
        if self.bot_token is None:
            return self.workspaces
        first = SlackWorkspace(
            bot_token=self.bot_token,
            app_token=self.app_token,
            signing_secret=self.signing_secret,
            port=self.port,
            team_channel=self.team_channel,
        )
        return (first, *self.workspaces)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.installations:
            raise ValueError("LOTSE_SLACK_BOT_TOKEN fehlt. Bitte den Bot-Token (xoxb-…) angeben.")
        for installation in self.installations:
            if installation.app_token is None and installation.signing_secret is None:
                raise ValueError(
                    "LOTSE_SLACK_APP_TOKEN fehlt. Bitte den App-Token (xapp-…) für Socket Mode"
                    " angeben oder LOTSE_SLACK_SIGNING_SECRET und LOTSE_SLACK_PORT für HTTP."
                )
            if installation.app_token is None and installation.port is None:
                raise ValueError(
                    "LOTSE_SLACK_PORT fehlt. Für HTTP bitte einen Port angeben (je Arbeitsbereich"
                    " einen eigenen) oder für Socket Mode LOTSE_SLACK_APP_TOKEN."
                )
        tokens = [i.bot_token.get_secret_value() for i in self.installations]
        if len(tokens) != len(set(tokens)):
            raise ValueError(
                "slack.workspaces: ein Bot-Token steht mehrfach da. Jeder Arbeitsbereich braucht"
                " seine eigene App mit eigenen Token."
            )
        return self


class Settings(Section):
    """Alles, was der Betrieb festlegt."""

    data_dir: Path = Field(
        Path("lotse-daten"), description="Ordner für alles, was der Bot sich merkt (0700)"
    )
    database_url: SecretStr | None = Field(
        None, description="sqlite:///Pfad oder postgresql://…; leer: lotse.db im Datenordner"
    )
    knowledge_dir: Path | None = Field(
        None, description="Ordner mit dem Wissensbestand; leer: der mitgelieferte"
    )
    limit_per_minute: int = Field(
        30, ge=0, description="Fragen je Person und Minute, im Thread das Vierfache; 0: ohne Grenze"
    )
    context_minutes: int = Field(
        30, ge=1, description="Minuten, die sich der Bot ein Gespräch für Folgefragen merkt"
    )
    retention_days: int = Field(30, ge=0, description="Tage, nach denen Fragetexte gelöscht werden")
    retention_days_handed_over: int = Field(
        90, ge=0, description="Das Gleiche für Fragen, die an das Team gingen oder vorgemerkt sind"
    )
    hash_key: SecretStr | None = Field(
        None,
        description="Schlüssel für die Kürzel der Fragenden, in allen Prozessen gleich;"
        " leer: wird einmal im Datenordner erzeugt",
    )
    http_port: Port | None = Field(
        None, description="Port für /healthz, /readyz und /metrics; leer: aus"
    )
    http_host: Word = Field("127.0.0.1", description="Adresse, an der dieser Port lauscht")
    log_format: Literal["text", "json"] = Field("text", description="Form der Protokollzeilen")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Ab welcher Stufe protokolliert wird"
    )
    matrix: MatrixSettings | None = None
    slack: SlackSettings | None = None

    @property
    def store_url(self) -> str:
        """The journal's place, `sqlite:///…` or `postgresql://…`; may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / 'lotse.db'}"

    @model_validator(mode="after")
    def _store_is_known(self) -> Self:
        if not re.match(r"sqlite:///.|postgres(ql)?://.", self.store_url):
            raise ValueError(
                "LOTSE_DATABASE_URL: die Adresse muss mit sqlite:/// oder postgresql:// beginnen."
            )
        return self


class ConfigurationError(Exception):
    """The settings are wrong; `problems` are German lines, each with a setting's name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


FieldPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of `lotse config`; `value` is already masked."""

    name: str
    value: str
    origin: str
    description: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force and where each one came from."""

    settings: Settings
    origins: Mapping[FieldPath, str]

    def table(self) -> Iterator[Setting]:
        """Every setting in the order of the models, secrets masked."""
        for path, info in fields():
            value: Any = self.settings
            for name in path:
                value = getattr(value, name, None)
            origin = self.origins.get(path, "Vorgabe")
            yield Setting(variable(path), _shown(value), origin, info.description or "")


def fields(
    model: type[BaseModel] = Settings, at: FieldPath = ()
) -> Iterator[tuple[FieldPath, FieldInfo]]:
    """Every setting with its path, e.g. `("matrix", "user")`, sections opened."""
    for name, info in model.model_fields.items():
        section = _section(info)
        if section is None:
            yield (*at, name), info
        else:
            yield from fields(section, (*at, name))


def variable(path: FieldPath) -> str:
    """The name of a setting in the environment: `LOTSE_MATRIX_USER`."""
    return PREFIX + "_".join(path).upper()


def load(environ: Mapping[str, str], config: Path | None = None) -> Configuration:
    """Read all settings.  `config` is a file named on the command line.

    Raises `ConfigurationError` with every problem found, never with a secret in it.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    origins: dict[FieldPath, str] = {}
    paths = {variable(path): path for path, info in fields() if info.annotation not in _YAML_ONLY}
    for layer in (
        _from_yaml(_config_file(environ, config), problems),
        _from_folders(environ, paths, problems),
        _from_environment(environ, paths, problems),
    ):
        for path, (value, origin) in layer.items():
            _put(values, path, value)
            origins[path] = origin
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_german(dict(e), origins) for e in error.errors(include_input=False)]
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)))
    return Configuration(settings, origins)


# --- the layers -----------------------------------------------------------------

Layer = dict[FieldPath, tuple[Any, str]]
_YAML_ONLY = (tuple[SlackWorkspace, ...],)


def _config_file(environ: Mapping[str, str], config: Path | None) -> tuple[Path, bool]:
    """The file and whether it must exist."""
    if config is not None:
        return config, True
    if environ.get(CONFIG):
        return Path(environ[CONFIG]), True
    return Path("lotse.yaml"), False


def _from_yaml(file: tuple[Path, bool], problems: list[str]) -> Layer:
    path, required = file
    if not required and not path.exists():
        return {}
    try:
        document = read(path.read_text(encoding="utf-8-sig"))
    except Unreadable as error:
        problems.append(f"{path}:{error.position.line}:{error.position.column} {error}")
        return {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{CONFIG}: „{path}“ lässt sich nicht lesen ({_reason(error)}).")
        return {}
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        problems.append(f"{path}:1:1 Die Datei muss mit Einstellungen wie „data_dir:“ beginnen.")
        return {}
    data = _read_secret_files(document.data, path.parent, problems)
    return dict(_leaves(data, (), path, document))


def _read_secret_files(data: Any, folder: Path, problems: list[str]) -> Any:
    """Replace `password_file: path` by `password: …`, in sections and lists of sections."""
    if isinstance(data, list):
        return [_read_secret_files(item, folder, problems) for item in data]
    if not isinstance(data, dict):
        return data
    result: dict[str, Any] = {}
    for key, value in data.items():
        if key.endswith("_file") and isinstance(value, str):
            result[key.removesuffix("_file")] = _secret(key, folder / value, problems)
        else:
            result[key] = _read_secret_files(value, folder, problems)
    return result


def _leaves(
    data: Mapping[str, Any], at: FieldPath, file: Path, document: Document
) -> Iterator[tuple[FieldPath, tuple[Any, str]]]:
    for key, value in data.items():
        path = (*at, key)
        if isinstance(value, dict):
            yield from _leaves(value, path, file, document)
        else:
            yield path, (value, f"{file}:{document.position(path).line}")


def _from_folders(
    environ: Mapping[str, str], paths: Mapping[str, FieldPath], problems: list[str]
) -> Layer:
    """Secrets as files: `LOTSE_SECRETS_DIR` and what systemd's LoadCredential provides."""
    layer: Layer = {}
    for name in ("CREDENTIALS_DIRECTORY", SECRETS_DIR):
        if not environ.get(name):
            continue
        folder = Path(environ[name])
        if not folder.is_dir():
            problems.append(f"{name}: den Ordner „{folder}“ gibt es nicht.")
            continue
        for file in sorted(folder.iterdir()):
            setting = file.name.upper()
            if not setting.startswith(PREFIX):
                continue
            if setting not in paths:
                problems.append(_unknown(setting, paths, f"in „{folder}“"))
            elif (value := _secret(setting, file, problems)) is not None:
                layer[paths[setting]] = (value, f"Datei {file}")
    return layer


def _from_environment(
    environ: Mapping[str, str], paths: Mapping[str, FieldPath], problems: list[str]
) -> Layer:
    layer: Layer = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in ELSEWHERE or not value.strip():
            continue
        setting = name.removesuffix("_FILE")
        if name in paths:
            layer[paths[name]] = (value, f"Umgebung {name}")
        elif setting not in paths:
            problems.append(_unknown(name, paths, "in der Umgebung"))
        elif environ.get(setting, "").strip():
            problems.append(f"{setting} und {name} sind beide gesetzt. Bitte nur eines angeben.")
        elif (secret := _secret(name, Path(value), problems)) is not None:
            layer[paths[setting]] = (secret, f"Datei {value}")
    return layer


def _secret(name: str, file: Path, problems: list[str]) -> str | None:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_SECRET_BYTES).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name}: „{file}“ lässt sich nicht lesen ({_reason(error)}).")
        return None
    if not content:
        problems.append(f"{name}: „{file}“ ist leer.")
        return None
    return content


def _put(values: dict[str, Any], path: FieldPath, value: Any) -> None:
    for name in path[:-1]:
        inner = values.get(name)
        values[name] = inner if isinstance(inner, dict) else {}
        values = values[name]
    values[path[-1]] = value


# --- words ----------------------------------------------------------------------


def _section(info: FieldInfo) -> type[BaseModel] | None:
    """The model of a section such as `matrix`, None for a plain setting."""
    for kind in get_args(info.annotation) or (info.annotation,):
        if isinstance(kind, type) and issubclass(kind, Section) and kind is not SlackWorkspace:
            return kind
    return None


def _shown(value: Any) -> str:
    if value is None or value == () or value == "":
        return "–"
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        url = re.match(r"[a-z]+://", secret)
        return re.sub(r"(?<=://)([^:/@]*):[^@]*@", rf"\1:{MASK}@", secret) if url else MASK
    if isinstance(value, tuple):
        return ", ".join(MASK if isinstance(v, BaseModel) else str(v) for v in value)
    return {True: "ja", False: "nein"}[value] if isinstance(value, bool) else str(value)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "die Datei gibt es nicht"
    if isinstance(error, PermissionError):
        return "keine Berechtigung"
    if isinstance(error, UnicodeDecodeError):
        return "kein UTF-8"
    return type(error).__name__


def _unknown(name: str, known: Mapping[str, FieldPath], where: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f" Meinten Sie {near[0]}?" if near else " „lotse config“ zeigt alle Einstellungen."
    return f"{name}: diese Einstellung ({where}) gibt es nicht.{hint}"


_GERMAN = {
    "missing": "fehlt. Bitte angeben: {description}.",
    "int_parsing": "muss eine ganze Zahl sein.",
    "int_type": "muss eine ganze Zahl sein.",
    "int_from_float": "muss eine ganze Zahl sein.",
    "bool_parsing": "muss „true“ oder „false“ sein.",
    "bool_type": "muss „true“ oder „false“ sein.",
    "greater_than_equal": "muss mindestens {ge} sein.",
    "less_than_equal": "darf höchstens {le} sein.",
    "literal_error": "muss eines davon sein: {expected}.",
    "string_too_short": "darf nicht leer sein.",
    "string_pattern_mismatch": "muss eine Adresse sein, die mit https:// oder http:// beginnt.",
    "string_type": "muss ein Text sein.",
    "tuple_type": "muss eine Liste sein.",
}


def _german(error: Mapping[str, Any], origins: Mapping[FieldPath, str]) -> str:
    location: tuple[str | int, ...] = tuple(error["loc"])
    path = tuple(part for part in location if isinstance(part, str))
    kind, context = str(error["type"]), dict(error.get("ctx") or {})
    if kind == "value_error":
        return str(context["error"])
    name = variable(path) if len(path) == len(location) else _in_list(location)
    known = {variable(p): p for p, _ in fields()}
    if kind == "extra_forbidden":
        return _unknown(name, known, origins.get(path, "in lotse.yaml"))
    descriptions = {p: info.description for p, info in fields()}
    context |= {"description": descriptions.get(path) or "den Wert"}
    context["expected"] = str(context.get("expected", "")).replace(" or ", " oder ")
    text = _GERMAN.get(kind, "hat einen Wert, der hier nicht passt.").format(**context)
    origin = f" ({origins[path]})" if path in origins else ""
    return f"{name} {text}" if kind == "missing" else f"{name}{origin}: {text}"


def _in_list(location: tuple[str | int, ...]) -> str:
    """`slack.workspaces[2].bot_token`, counted from 1 as editors do."""
    shown = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location)
    return shown.removeprefix(".")

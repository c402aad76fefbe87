"""Every setting: one class, each field with default, bounds, unit and environment name beside it.

Precedence: default < ``$IPC_HOME/config.toml`` < environment < flags. ``Settings.load`` also says where each value came
from, and refuses an unknown key or a bad value with the file and line.

The supervisor imports this module, so it imports neither dataclasses nor typing, which would take 2 MB of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from broker.home.files import read_trusted
from broker.home.paths import home_folder
from broker.protocol.addresses import is_site
from broker.protocol.errors import SettingsError as SettingsError  # it is caught by this name beside Settings
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

KIB = 1024
MIB = 1024 * KIB
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


class SettingRow:
    """What is known of one setting beside its value: the unit of a number is in its name or here."""

    __slots__ = ("default", "env", "high", "low", "name", "type", "unit")

    def __init__(self, default: Any, env: str, unit: str, low: float | None, high: float | None) -> None:
        self.name = ""
        self.default, self.env, self.unit, self.low, self.high = default, env, unit, low, high
        self.type: type = type(default)


def _setting(default: Any, env: str, unit: str, low: float | None = None, high: float | None = None) -> Any:
    return SettingRow(default, env, unit, low, high)


class Settings:
    """All settings, typed, never changed: ``but`` makes others."""

    home: Path
    host: str = _setting("127.0.0.1", "IPC_HOST", "address the TCP door binds")
    port: int = _setting(9876, "IPC_PORT", "TCP port", 0, 65535)
    endpoint: str = _setting("", "IPC_ENDPOINT", "ZeroMQ endpoint, empty = a socket in the data folder")
    shared_secret: str = _setting("", "IPC_SHARED_SECRET", "text, empty = open to this OS user")
    remote: str = _setting("", "IPC_REMOTE", "tcp://HOST:PORT where other machines come in with keys, empty = nowhere")
    site: str = _setting("", "IPC_SITE", "1-32 of a-z, 0-9, -: what this broker is called at others, empty = it has no others")
    nats: str = _setting("", "IPC_NATS", "nats://HOST:PORT of the servers between the sites, with commas, empty = none")
    web: bool = _setting(False, "IPC_WEB", "true: the service runs the page for a person")
    web_port: int = _setting(9877, "IPC_WEB_PORT", "port of the page on 127.0.0.1, 0 = a free one", 0, 65535)
    person: str = _setting("", "IPC_PERSON", "a person's name at page and terminal view, empty = the login name")
    answers: str = _setting("", "IPC_ANSWERS", "HOST:PORT where answers from elsewhere and webhooks come in, empty = nowhere")
    web_hosts: str = _setting("", "IPC_WEB_HOSTS", "names, with commas, under which that is reached; the first goes into links")
    tls_cert: str = _setting(
        "", "IPC_TLS_CERT", "PEM file in the data folder, or its path: the TCP door's certificate, empty = no TLS"
    )
    tls_key: str = _setting("", "IPC_TLS_KEY", "PEM file, likewise: its private key")
    session_timeout_s: float = _setting(7 * DAY_S, "IPC_SESSION_TIMEOUT", "s of inactivity", 1)
    large_message_dir: str = _setting("", "IPC_LARGE_MESSAGE_DIR", "folder, empty = large-messages in the data folder")
    large_message_bytes: int = _setting(10 * KIB, "IPC_LARGE_MESSAGE_BYTES", "bytes of content kept in the store", 256)
    message_limit_bytes: int = _setting(16 * MIB, "IPC_MESSAGE_LIMIT", "bytes a message", 256, 256 * MIB)
    data_limit_bytes: int = _setting(16 * KIB, "IPC_DATA_LIMIT", "bytes of a message's data as JSON", 0, 24 * KIB)
    mailbox_limit: int = _setting(10_000, "IPC_MAILBOX_LIMIT", "unread messages a mailbox, 0 = none", 0)
    name_limit: int = _setting(12_000, "IPC_NAME_LIMIT", "registered names", 1)
    unclaimed_limit: int = _setting(10_000, "IPC_UNCLAIMED_LIMIT", "mailboxes of names nobody has registered", 1)
    storage_limit_mib: int = _setting(8192, "IPC_STORAGE_LIMIT", "MiB of database and large messages, 0 = none", 0)
    rate_limit: float = _setting(2000.0, "IPC_RATE_LIMIT", "messages/s a session, 0 = none", 0)
    rate_burst: int = _setting(4000, "IPC_RATE_BURST", "messages at once", 1)
    pair_limit: int = _setting(60, "IPC_PAIR_LIMIT", "turns a minute between two agents without a person, 0 = none", 0)
    hop_limit: int = _setting(8, "IPC_HOP_LIMIT", "times a message may be forwarded or answered by a machine", 1, 64)
    wake_pause_s: float = _setting(
        180.0, "IPC_WAKE_PAUSE", "s after an agent's turn in which mail that asks nothing wakes it not", 0, HOUR_S
    )
    wake_limit: int = _setting(60, "IPC_WAKE_LIMIT", "times an hour that mail wakes an idle agent, 0 = no limit", 0)
    pair_wake_limit: int = _setting(20, "IPC_PAIR_WAKE_LIMIT", "of them by the mail of one sender, 0 = no limit", 0)
    claim_limit: int = _setting(200, "IPC_CLAIM_LIMIT", "claims a session", 1)
    schedule_limit: int = _setting(100, "IPC_SCHEDULE_LIMIT", "schedules a session", 1)
    group_limit: int = _setting(1000, "IPC_GROUP_LIMIT", "groups", 1)
    digest_s: float = _setting(900.0, "IPC_DIGEST", "s until mail that lands as digest wakes its reader", 1, DAY_S)
    lease_s: float = _setting(30.0, "IPC_LEASE", "s until unacknowledged mail comes back", 0.05, DAY_S)
    attempt_limit: int = _setting(20, "IPC_ATTEMPT_LIMIT", "hand-outs without acknowledgement until mail is a dead letter", 1)
    bounce_after_s: float = _setting(DAY_S, "IPC_BOUNCE_AFTER", "s that a reader may be away until the sender is told", 1)
    bounce_interrupt_s: float = _setting(600.0, "IPC_BOUNCE_INTERRUPT", "s likewise for mail that lands as an interrupt", 1)
    unread_ttl_s: float = _setting(7 * DAY_S, "IPC_UNREAD_TTL", "s that unread mail is kept", 1)
    read_ttl_s: float = _setting(30 * DAY_S, "IPC_READ_TTL", "s that read mail is kept", 1)
    dedupe_s: float = _setting(DAY_S, "IPC_DEDUPE", "s that a sender's message ids are remembered", 1)
    body_timeout_s: float = _setting(
        900.0, "IPC_BODY_TIMEOUT", "s without a sign until a body that can't be seen lets go of its name", 1
    )
    broadcast_silent_s: float = _setting(
        0.0, "IPC_BROADCAST_SILENT", "s of silence after which broadcasts pass over a name whose body has ended, 0 = never", 0
    )
    rename_interval_s: float = _setting(HOUR_S, "IPC_RENAME_INTERVAL", "s between renames of a mailbox", 0)
    forward_s: float = _setting(2 * HOUR_S, "IPC_FORWARD", "s that an old name forwards", 0)
    stall_silent_s: float = _setting(600.0, "IPC_STALL_SILENT", "s that a working agent may give no sign, 0 = any", 0)
    stall_tool_s: float = _setting(1800.0, "IPC_STALL_TOOL", "s that it may give none while a tool call runs, 0 = any", 0)
    stall_wait_s: float = _setting(120.0, "IPC_STALL_WAIT", "s that it may wait for its user, 0 = any", 0)
    stall_loops: int = _setting(5, "IPC_STALL_LOOPS", "times the same in a row before it is a loop, 0 = any", 0)
    watch_limit: int = _setting(50, "IPC_WATCH_LIMIT", "watches of other agents a session", 1)
    clock_hold_s: float = _setting(HOUR_S, "IPC_CLOCK_HOLD", "s after a start of the machine in which nothing ends", 0)
    durability: str = _setting("full", "IPC_DURABILITY", "full (survives power loss) or normal (survives a crash)")
    connection_limit: int = _setting(12_000, "IPC_CONNECTION_LIMIT", "TCP connections", 1)
    idle_timeout_s: float = _setting(30.0, "IPC_IDLE_TIMEOUT", "s for a first request to arrive", 0.05)
    lasting_timeout_s: float = _setting(HOUR_S, "IPC_LASTING_TIMEOUT", "s a lasting TCP connection may be idle", 0.05)
    mcp_rest_s: float = _setting(30.0, "IPC_MCP_REST", "s without a tool call until the MCP process ends, 0 = never", 0, DAY_S)
    heartbeat_s: float = _setting(15.0, "IPC_HEARTBEAT", "s until a process that hangs is killed, 0 = never", 0, DAY_S)
    log_level: str = _setting("info", "IPC_LOG_LEVEL", "debug, info, warning or error")
    key_file: str = ""
    """The key of another machine's broker ($IPC_KEY_FILE only): with it clients connect there, and nothing is started here."""
    notify: bool = False
    """config.toml has a table ``notify``: a process tells the person what waits (bridges/notify reads the table)."""
    resume: bool = False
    """``[hosts.resume]`` names agents: a process starts their closed sessions again (bridges/resume reads the table)."""
    instance_rate_limits: Mapping[str, float] = {}
    """Messages/s by instance name, from ``[instances.NAME] rate_limit`` in config.toml."""
    origins: Mapping[str, str] = {}
    """Field name to where its value came from: ``default``, ``config.toml line N``, ``env NAME`` or ``flag``."""

    def __init__(self, *, home: Path, **values: Any) -> None:
        """What is not given has its default."""
        for name in values:
            if name not in SETTINGS and name not in ("key_file", "notify", "resume", "instance_rate_limits", "origins"):
                raise TypeError(f"there is no setting {name}")
        self.__dict__.update({**_DEFAULTS, **values}, home=home)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} is set once, at the start")

    def but(self, **values: Any) -> Settings:
        """These settings with others."""
        return Settings(**{**self.__dict__, **values})

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None, **flags: Any) -> Settings:
        """Settings of this process. ``env`` is ``os.environ`` unless given; ``flags`` that are None count as not given.

        Raises SettingsError.
        """
        env = os.environ if env is None else env
        home = Path(home_folder(env, flags.pop("home", None)))
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        rates = _read_config(home / "config.toml", values, origins)
        for row in SETTINGS.values():
            raw = env.get(row.env, "")
            if raw != "":
                values[row.name] = _convert(row, raw, f"environment variable {row.env}")
                origins[row.name] = f"env {row.env}"
        for name, value in flags.items():
            if value is not None:
                values[name] = _convert(SETTINGS[name], value, f"flag --{name}")
                origins[name] = "flag"
        origins["home"] = "env IPC_HOME" if env.get("IPC_HOME") else "default"
        return cls(home=home, key_file=env.get("IPC_KEY_FILE", ""), instance_rate_limits=rates, origins=origins, **values)

    def environment(self) -> dict[str, str]:
        """What a service that is started for these settings needs in its environment: what no file says."""
        given = [name for name, origin in self.origins.items() if name in SETTINGS and origin.startswith(("env ", "flag"))]
        return {"IPC_HOME": str(self.home), **{SETTINGS[name].env: str(getattr(self, name)) for name in given}}

    @classmethod
    def of_service(cls) -> Settings:
        """Settings of the service's own processes: a key file leads to another machine's broker, so it counts for none of them.

        Raises SettingsError.
        """
        os.environ.pop("IPC_KEY_FILE", None)
        return cls.load()

    def public(self) -> list[tuple[str, str, str]]:
        """(name, value, origin) of each setting, for people. The shared secret is not shown."""
        rows = [("home", str(self.home), self.origins.get("home", "default"))]
        if self.key_file:
            rows.append(("key_file", self.key_file, "env IPC_KEY_FILE"))
        for name in SETTINGS:
            value = str(getattr(self, name))
            if name in _SECRETS:
                value = "(set)" if value else ""
            rows.append((name, value, self.origins.get(name, "default")))
        return rows

    @property
    def large_message_path(self) -> Path:
        if self.large_message_dir:
            return Path(self.large_message_dir).expanduser().absolute()
        return self.home / "large-messages"


SETTINGS = {name: row for name, row in vars(Settings).items() if isinstance(row, SettingRow)}
"""By name, in their order."""
for _name, _row in SETTINGS.items():
    _row.name = _name
    delattr(Settings, _name)  # Python finds a value in an instance twice as fast where its class has none of the name
_DEFAULTS = {name: row.default for name, row in SETTINGS.items()}

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_HOST_PORT = re.compile(r"(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%a-z]+\]):[0-9]{1,5}")
_TCP_ADDRESS = re.compile(f"tcp://{_HOST_PORT.pattern}")
_SECRETS = frozenset({"shared_secret"})
"""Settings whose value is never shown, not even in an error."""
_SECTIONS = ("nlparse", "hosts", "notify", "webhooks")
"""Tables of config.toml that are read by those who need them."""
_CHOICES = {"durability": ("full", "normal"), "log_level": ("debug", "info", "warning", "error")}


def _convert(row: SettingRow, raw: Any, where: str) -> Any:
    kind, name = row.type, row.name
    given = "what is there (it is a secret, so it is not shown)" if name in _SECRETS else repr(raw)
    if kind is bool and str(raw).lower() in _TRUTHS:
        return _TRUTHS[str(raw).lower()]
    if isinstance(raw, bool) or kind is bool or (kind is str and not isinstance(raw, str)):
        raise SettingsError(f"{where}: {name} must be {_kind_word(kind)}, not {given}")
    try:
        value = kind(raw)
    except (ValueError, TypeError, OverflowError):
        raise SettingsError(f"{where}: {name} must be {_kind_word(kind)} ({row.unit}), not {given}") from None
    if kind is int and isinstance(raw, float) and raw != value:
        raise SettingsError(f"{where}: {name} must be a whole number, not {given}")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise SettingsError(f"{where}: {name} must be one of {', '.join(_CHOICES[name])}, not {given}")
    if name == "remote" and value and not _TCP_ADDRESS.fullmatch(value):
        raise SettingsError(f"{where}: remote must be tcp://HOST:PORT, such as tcp://0.0.0.0:9879, not {given}")
    if name == "answers" and value and not _HOST_PORT.fullmatch(value):
        raise SettingsError(f"{where}: answers must be HOST:PORT, such as 127.0.0.1:9878, not {given}")
    if name == "person" and value and not is_name(value):
        raise SettingsError(f"{where}: person must have 1-32 letters, digits, - or _, not {given}")
    if name == "site" and value and not is_site(value):
        raise SettingsError(f"{where}: site must have 1-32 lowercase letters, digits or hyphens, not {given}")
    low, high = row.low, row.high
    if kind is not str and not ((low is None or value >= low) and (high is None or value <= high)):
        bounds = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
        raise SettingsError(f"{where}: {name} must be {bounds} ({row.unit}), not {given}")
    return value


def _kind_word(kind: type) -> str:
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[kind]


def _read_config(path: Path, values: dict[str, Any], origins: dict[str, str]) -> dict[str, float]:
    """Fill ``values`` and ``origins`` from config.toml if there is one; return the rate limits by instance."""
    try:
        text = read_trusted(str(path))
    except FileNotFoundError:
        return {}
    except PermissionError as e:
        raise SettingsError(str(e)) from None
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"{path}: {e}") from None
    import tomllib  # costs 16 ms, and most homes have no config file

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise SettingsError(f"{path}: {e}") from None
    rates: dict[str, float] = {}
    for key, raw in table.items():
        where = f"{path} line {_line_of(text, key)}"
        if key == "instances":
            rates = _instance_rates(path, text, raw)
        elif key in _SECTIONS and isinstance(raw, dict):
            if key == "notify":
                values[key] = True
            elif key == "hosts" and raw.get("resume"):  # also a table with a fault, which its reader tells
                values["resume"] = True
        elif key not in SETTINGS:
            raise SettingsError(f"{where}: unknown setting {key!r}. Known: {', '.join(SETTINGS)}")
        else:
            values[key] = _convert(SETTINGS[key], raw, where)
            origins[key] = f"config.toml line {_line_of(text, key)}"
    return rates


def _instance_rates(path: Path, text: str, raw: Any) -> dict[str, float]:
    rates = {}
    for name, table in raw.items() if isinstance(raw, dict) else ():
        for key, value in table.items() if isinstance(table, dict) else ():
            where = f"{path} line {_line_of(text, key)} (instances.{name})"
            if key != "rate_limit":
                raise SettingsError(f"{where}: unknown setting {key!r}. Known: rate_limit")
            rates[name] = float(_convert(SETTINGS["rate_limit"], value, where))
    return rates


def _line_of(text: str, key: str) -> int:
    """1-based line of a key's first mention; tomllib keeps no positions."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip(" [\"'").startswith(key):
            return number
    return 1

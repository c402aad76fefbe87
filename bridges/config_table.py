"""A table of config.toml that one door reads for itself: typed; errors name file and line, and never show a secret."""

from __future__ import annotations

import os
import re
from typing import Any, NoReturn

from broker.home.files import read_private, read_trusted
from broker.protocol.errors import SettingsError

_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
_WORDS = {str: "text", bool: "true or false", list: "a list of texts", dict: "a table"}


class ConfigTable:
    """One table, by its name such as ``notify.ntfy``. Values are taken; ``end`` complains of what nobody took."""

    def __init__(self, home: str, path: str, text: str, name: str, values: Any) -> None:
        self._home, self._path, self._text = home, path, text
        self.name = name
        if not isinstance(values, dict):
            self.fail("", "must be a table")
        self._values: dict[str, Any] = values
        self._taken: list[str] = []

    def text(self, key: str, default: str = "") -> str:
        return str(self._take(key, str, default))

    def flag(self, key: str, default: bool = False) -> bool:
        return bool(self._take(key, bool, default))

    def choice(self, key: str, known: tuple[str, ...], default: str = "") -> str:
        value = self.text(key, default)
        if value not in known:
            self.fail(key, f"must be one of {', '.join(known)}, not {value!r}")
        return value

    def words(self, key: str, known: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._take(key, list, list(default))
        wrong = [one for one in value if one not in known]
        if wrong:
            self.fail(key, f"knows {', '.join(known)}, and not {wrong[0]!r}")
        return tuple(value)

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        return tuple(self._take(key, list, list(default)))

    def number(self, key: str, default: float, low: float, high: float) -> float:
        value = self._take(key, (int, float), default)
        if isinstance(value, bool) or not low <= value <= high:
            self.fail(key, f"must be a number from {low:g} to {high:g}, not {value}")
        return float(value)

    def secret(self, key: str) -> str:
        """The secret itself, or what the file ``KEY_file`` holds, whose path may begin at the data folder."""
        given, file = self.text(key), self.text(f"{key}_file")
        if given and file:
            self.fail(key, f"and {key}_file say the same thing: keep one")
        if not file:
            return given
        path = os.path.join(self._home, os.path.expanduser(file))
        try:
            return read_private(path).strip()
        except OSError as e:
            self.fail(f"{key}_file", f"can't be read: {e}")

    def table(self, key: str) -> ConfigTable | None:
        """A table within, if it is there."""
        if key not in self._values:
            return None
        self._taken.append(key)
        return ConfigTable(self._home, self._path, self._text, f"{self.name}.{key}", self._values[key])

    def names(self) -> list[str]:
        return list(self._values)

    def end(self) -> None:
        """Raise SettingsError for a key that nobody took."""
        for key in self._values:
            if key not in self._taken:
                self.fail(key, f"is unknown. Known: {', '.join(self._taken)}")

    def fail(self, key: str, problem: str) -> NoReturn:
        what = f"{self.name}.{key}" if key else self.name
        raise SettingsError(f"{self._path} line {self._line(key)}: {what} {problem}")

    def _take(self, key: str, kind: type | tuple[type, ...], default: Any) -> Any:
        self._taken.append(key)
        value: Any = self._values.get(key, default)
        right = isinstance(value, kind)
        if kind is list and right:
            right = all(isinstance(one, str) for one in value)
        if not right:
            self.fail(key, f"must be {_WORDS[kind] if isinstance(kind, type) else 'a number'}")
        return value

    def _line(self, key: str) -> int:
        """1-based line of the key in its table, or of the table; tomllib keeps no positions."""
        found, inside = 0, ""
        parent, _, leaf = self.name.rpartition(".")
        for number, line in enumerate(self._text.splitlines(), 1):
            header = _HEADER.match(line)
            if header:
                inside = header[1].replace('"', "").replace(" ", "")
            if key and ((inside == self.name and _sets(line, key)) or (header and inside == f"{self.name}.{key}")):
                return number
            if not found and (
                (header and f"{inside}.".startswith(f"{self.name}.")) or (inside == parent and _sets(line, leaf))
            ):
                found = number
        return found or 1


def _sets(line: str, key: str) -> bool:
    return re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line) is not None


def config_table(home: str, name: str) -> ConfigTable | None:
    """The table of that name; None without one. Raises SettingsError."""
    path = os.path.join(home, "config.toml")
    if not os.path.exists(path):
        return None
    import tomllib  # takes 16 ms, and most homes have no config file

    try:
        text = read_trusted(path)
        whole = tomllib.loads(text)
    except PermissionError as e:
        raise SettingsError(str(e)) from None
    except (OSError, ValueError) as e:
        raise SettingsError(f"{path}: {e}") from None
    return ConfigTable(home, path, text, name, whole[name]) if name in whole else None

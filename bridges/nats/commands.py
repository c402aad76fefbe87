"""``ipc nats``: what a person types to link machines, as their admin (init, add-site, ...) and at a site (join, check)."""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from bridges.fence import quoted
from bridges.nats.site_file import SiteFile, site_path
from bridges.nats.trouble import Trouble
from bridges.terminal import complain, say
from broker.home.data_folder import prepare_home
from broker.home.files import read_trusted, write_private
from broker.home.settings import Settings

OK, FAILED = 0, 1


def run(settings: Settings, options: argparse.Namespace) -> int:
    try:
        import nacl
        import nats
        import nkeys
    except ImportError as e:
        complain(f"the link between machines needs a package that is not installed: {e.name}", "pip install 'agent-ipc[nats]'")
        return FAILED
    del nacl, nats, nkeys
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each TLS connection that nats-py ends
    try:
        if options.what == "join":
            return _join(settings, options)
        if options.what == "check":
            from bridges.nats.check import check

            return asyncio.run(check(settings, options))
        from bridges.nats.admin import WORK

        return asyncio.run(WORK[options.what](settings, options))
    except Trouble as e:
        complain(str(e), e.step)
        return FAILED


def _join(settings: Settings, options: argparse.Namespace) -> int:
    """Make this data folder the site that a file is for. Raises Trouble, OSError, SettingsError."""
    path = Path(options.file).expanduser()
    if not path.is_file():
        raise Trouble(
            f"there is no file {quoted(str(path))}", "at the admin's machine: ipc nats add-site NAME; then copy NAME.site here"
        )
    file = SiteFile.load(path)
    prepare_home(settings)
    place = site_path(settings)
    old = SiteFile.load(place) if place.exists() else None
    former = old.site if old else settings.site
    if former and former != file.site and not options.replace:
        raise Trouble(
            f"this data folder is the site {former}, and mail waits for it under that name; {path} is for {file.site}",
            f"ipc nats join {path} --replace makes it {file.site}; to be both, give the second one a data folder (IPC_HOME)",
        )
    config = settings.home / "config.toml"
    text = read_trusted(config) if config.exists() else ""
    after = config_with(text, file.site, ",".join(file.servers), config)
    if old != file:
        file.save(place, replace=True)
    if after != text:
        # a configuration that is a link stays one
        write_private(config.resolve(), after, durable=True)
    servers = ", ".join(file.servers)
    if old == file and after == text:
        say(f"This data folder is the site {file.site} already, at {servers}")
    else:
        say(f"This data folder is now the site {file.site}, at {servers}; written: {place}, {config}")
        say(f"Others write to NAME@{file.site}. The key has been copied, so remove the file: rm {path}")
    for name, variable in (("site", file.site), ("nats", ",".join(file.servers))):
        origin = settings.origins.get(name, "")
        if origin.startswith("env ") and getattr(settings, name) != variable:
            complain(f"the variable {origin[4:]} says otherwise, and goes before config.toml", f"unset {origin[4:]}")
    say("Then: ipc down, ipc up, ipc nats check")
    return OK


def config_with(text: str, site: str, servers: str, path: Path) -> str:
    """The configuration with the two settings of a site. Comments, order and all else stay. Raises Trouble."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        for name, value in (("site", site), ("nats", servers)):
            if document.get(name) != value:
                document[name] = value
        return tomlkit.dumps(document)
    except TOMLKitError as e:
        raise Trouble(
            f"{path} is not valid TOML ({e}); it was left as it is", "correct it, then again: ipc nats join"
        ) from None

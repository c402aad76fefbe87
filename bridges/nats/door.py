"""The process of the door to other sites, from its keys to its end.

Its state stands in ``run/nats.json``: ``{"pid", "site", "error", "connected", "why", "sent", "arrived", "failed", "dropped"}``.
``error`` says why the link can't even begin: the package or the site's keys are missing. They are looked for each 2 s, so
nobody has to start the service again. ``why`` says what the link waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import TYPE_CHECKING, Any

from bridges.link import WHY_LENGTH, LinkDriver
from bridges.tasks import end_tasks
from broker.client.aio import AsyncConnection
from broker.home.files import owner_key
from broker.protocol.errors import IpcError, SettingsError

if TYPE_CHECKING:
    from bridges.nats.carrier import NatsCarrier
    from broker.home.settings import Settings
    from broker.service.door_process import DoorProcess

_MISSING = "the package {name} is missing, so this site is cut off from the others. Type: pip install 'agent-ipc[nats]'"


async def serve(process: DoorProcess) -> None:
    """Run the link until told to stop."""
    settings, log = process.settings, process.log

    def say(error: str | None = None, **state: Any) -> None:
        process.say(site=settings.site, error=error, **{"connected": False, "why": "", **state})

    broker = AsyncConnection(settings, autostart=not process.supervised, door="nats")
    key = owner_key(settings.home)
    telling: set[asyncio.Task[None]] = set()

    def tell(error: str) -> None:
        say(error)
        task = asyncio.ensure_future(_tell_broker(broker, key, error))
        telling.add(task)
        task.add_done_callback(telling.discard)

    carrier = await process.opened(lambda: made_carrier(process), str, tell, SettingsError, OSError)
    await asyncio.gather(*telling)
    if carrier is None:
        await broker.close()
        return
    say()
    driver = LinkDriver(broker, key, carrier, log, lambda **state: say(**state, dropped=dict(carrier.dropped)))
    running = asyncio.ensure_future(driver.run())
    stopping = asyncio.ensure_future(process.stopping.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    except Exception as error:  # the one broad catch of this process: the supervisor starts the next one
        log.exception(error, door="nats")
        raise
    finally:
        await end_tasks([running, stopping])
        await carrier.close()
        await broker.close()


async def _tell_broker(broker: AsyncConnection, key: str, why: str) -> None:
    """Have ``ipc sites`` say why there is no link, if the broker is there."""
    with contextlib.suppress(IpcError):
        opened = await broker.request({"action": "link_open", "session_token": key, "carrier": "none"})
        body = {"action": "link_told", "session_token": key, "lease": opened.get("lease", 0)}
        await broker.request({**body, "connected": False, "why": why[:WHY_LENGTH]})


def made_carrier(process: DoorProcess) -> NatsCarrier:
    """The carrier of this site. Raises SettingsError, OSError, with words."""
    settings = process.settings
    importlib.invalidate_caches()
    try:
        from bridges.nats.carrier import NatsCarrier
        from bridges.nats.site_file import is_server
        from bridges.nats.site_lease import holder_of
    except ModuleNotFoundError as e:
        if str(e.name).partition(".")[0] not in ("nats", "nkeys", "nacl"):
            raise
        raise SettingsError(_MISSING.format(name=e.name)) from None
    keys = site_keys(settings)
    servers = [url.strip() for url in settings.nats.split(",") if url.strip()]
    if not all(map(is_server, servers)):  # not quoted: it may hold a password, which has no place there
        raise SettingsError("the setting nats must be nats://HOST:PORT or tls://HOST:PORT, several with commas between")
    return NatsCarrier(keys, servers or list(keys.servers), holder_of(settings.home), process.log)


def site_keys(settings: Settings) -> Any:
    """The site's keys, which fit the setting ``site``. Raises SettingsError, OSError."""
    from bridges.nats.nats_client import check_nkey
    from bridges.nats.site_file import SiteFile, site_path

    path = site_path(settings)
    try:
        keys = SiteFile.load(path)
    except FileNotFoundError:
        raise SettingsError(f"this site has no keys yet ({path} is missing). Type: ipc nats join FILE") from None
    if settings.site != keys.site:
        raise SettingsError(f"the setting site is {settings.site or 'empty'}, but {path} has the keys of site {keys.site}")
    if not check_nkey(keys.nkey):
        raise SettingsError(f"{path}: its nkey is damaged. Ask for a new file: ipc nats add-site {keys.site}")
    return keys

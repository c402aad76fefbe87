"""Whole sites: a service each, in a home of its own, with the keys of a world of sites (tests.nats.sites)."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridges.nats.site_file import site_path
from broker.client.sync import Connection
from tests.conftest import Service, wait_for
from tests.nats.sites import SitesWorld


class SiteService(Service):
    """The service of one site. Its supervisor runs the door to the others, too."""

    def __init__(self, world: SitesWorld, site: str, home: Path, **environment: str) -> None:
        super().__init__(home, IPC_SITE=site, IPC_NATS=world.servers.setting, **environment)
        self.site = site
        world.file(site).save(site_path(self.settings))

    def door(self) -> dict[str, Any]:
        """What the door to other sites says of itself."""
        return self._read("nats.json") or {}

    def connected(self) -> "SiteService":
        wait_for(f"the door of {self.site}", lambda: self.door().get("connected"), 40, self.describe)
        return self

    def status(self) -> dict[str, Any]:
        """What the broker says of other sites."""
        connection = Connection(self.settings, door="cli")
        try:
            return connection.request("sites")
        finally:
            connection.close()

    def sites(self) -> dict[str, Any]:
        """The same, by their names."""
        return {row["site"]: row for row in self.status()["sites"]}

    def waits(self) -> int:
        """How much waits here for other sites."""
        return sum(row["waiting"] for row in self.status()["sites"])

    def stop(self) -> None:
        door = self.pid("nats")
        super().stop()
        if door:
            wait_for("the end of the door", lambda: not Path(f"/proc/{door}").exists())


@contextmanager
def running_sites(world: SitesWorld, *sites: str, **environment: str) -> Iterator[list[SiteService]]:
    """Services that run until the end, each connected."""
    services: list[SiteService] = []
    try:
        for site in sites:
            service = SiteService(world, site, Path(tempfile.mkdtemp(prefix="ipc-")), **environment)
            services.append(service)
            service.start()
        for service in services:
            service.connected()
        yield services
    finally:
        for service in services:
            service.stop()
            shutil.rmtree(service.home, ignore_errors=True)

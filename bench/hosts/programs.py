"""``python -m bench.hosts.programs FOLDER [HOST...]``: the hosts' programs from npm, in the versions that the tests run.

``--newest`` takes the newest ones instead. Versions are always named: for a bare name npm looks for one that says it runs with
this Node, and takes an old one. What a package would do after its installation is done, also where npm runs no such scripts.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bridges.known_hosts import catalogue


def packages(hosts: list[str], newest: bool) -> dict[str, str]:
    """What npm is told to install, such as ``cline@3.0.65``, by the package's name."""
    facts = [catalogue.about(host) for host in hosts]
    return {one.package: f"{one.package}@{'latest' if newest else one.version}" for one in facts}


def install(folder: Path, hosts: list[str], newest: bool) -> None:
    """Raises CalledProcessError."""
    wanted = packages(hosts, newest)
    folder.mkdir(parents=True, exist_ok=True)
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    subprocess.run(["npm", "install", "--prefix", str(folder), *quiet, *wanted.values()], check=True)  # noqa: S607 (the user's npm)
    for package in wanted:
        there = folder / "node_modules" / package
        script = json.loads((there / "package.json").read_text(encoding="utf-8")).get("scripts", {}).get("postinstall")
        if script:
            subprocess.run(script, cwd=there, shell=True, check=True)  # noqa: S602 (as npm does it)


def main(argv: list[str] | None = None) -> int:
    known = [host for host in catalogue.names() if catalogue.about(host).package]
    parser = argparse.ArgumentParser(prog="python -m bench.hosts.programs", description=__doc__)
    parser.add_argument("folder", type=Path, help="npm's prefix, such as /tmp/hosts")
    parser.add_argument("hosts", nargs="*", metavar="HOST", help=f"of {', '.join(known)}; default: all")
    parser.add_argument("--newest", action="store_true", help="the newest versions, not those that the tests were made with")
    options = parser.parse_args(argv)
    if unknown := set(options.hosts) - set(known):
        parser.error(f"npm has no program of {', '.join(sorted(unknown))}")
    install(options.folder.resolve(), options.hosts or known, options.newest)
    return 0


if __name__ == "__main__":
    sys.exit(main())

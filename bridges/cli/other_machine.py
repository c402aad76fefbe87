"""``ipc status`` and ``ipc doctor`` with a key file: the broker is another machine's."""

import argparse

from bridges.cli.service_state import ask
from bridges.terminal import say, say_json, style
from broker.client.keyfile import KeyFile
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

OK, FAILED = 0, 1


def status(settings: Settings, options: argparse.Namespace) -> int:
    """Raises IpcError if the broker can't be reached or refuses the key."""
    if options.config:
        from bridges.cli.status import status as status_here

        return status_here(settings, options)
    key = KeyFile.load(settings.key_file)
    found = ask(settings, "ping")
    if options.json:
        say_json({"running": True, "endpoint": key.endpoint, "name": key.name, "key": key.pair.public, **found})
        return OK
    say(f"{style('running', 'green')}  version {found['version']}, on another machine")
    say(f"remote   {key.endpoint}")
    say(f"you are  {key.name}, by the key {key.pair.public}")
    return OK


def doctor(settings: Settings, _options: argparse.Namespace) -> int:
    """Exit status 0 if the broker answers to the key."""
    key = KeyFile.load(settings.key_file)
    say(f"{style('ok  ', 'green')}  key file  {settings.key_file} stands for {key.name} and is yours alone")
    try:
        found = ask(settings, "ping")
    except IpcError as e:
        say(f"{style('FAIL', 'red')}  broker    {key.endpoint}: {e}")
        return FAILED
    say(f"{style('ok  ', 'green')}  broker    {key.endpoint} answers, version {found['version']}")
    return OK

"""A system that is not installed."""

from bench.peers.driver import Driver


class NotThere(Driver):
    title = "not-there"
    install = "not-there"
    program = "a-program-that-nobody-has"

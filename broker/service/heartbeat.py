"""Whether a supervised process hangs, told apart from one that is busy.

Every third of ``heartbeat_s`` the supervisor writes a byte to a child's standard input, which the child's main loop answers
on its standard output (broker.service.supervised). A child that has not answered when the next beat is due is looked at:

    still    its main thread has not run since the last look, and waits neither for processor nor disk. Three such looks on
             end and it is killed: a stopped or dead-locked process.
    busy     it ran, or would if it got a processor, or waits for the disk: a long sweep, a migration, a slow disk. It is
             left alone, for twenty times ``heartbeat_s``: who is not back at its loop by then never will be.

Looks are counted and not seconds, so that a supervisor or machine that slept kills nobody. Without Linux's /proc, nothing is
known of the main thread, and every silent child counts as busy.
"""

from broker.home.process_table import main_thread

LOOKS = 3
"""Number of silent looks that make ``heartbeat_s``."""
_BUSY_LOOKS = 20 * LOOKS


class Heartbeat:
    """What is known of one process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.asked = False
        """A question is out."""
        self.silent = self.still = 0
        self._ran_ns: int | None = None

    def ask(self) -> None:
        """A question goes out."""
        self.asked = True
        self.silent = self.still = 0
        self._ran_ns = main_thread(self.pid)[1]

    def heard(self) -> None:
        """It answered."""
        self.asked = False

    def look(self) -> bool:
        """A beat is due and the last is not answered. True if the process hangs."""
        state, ran_ns = main_thread(self.pid)
        busy = ran_ns is None or ran_ns != self._ran_ns or state in ("D", "R")  # R: it would run if it got a processor
        self._ran_ns = ran_ns
        self.silent += 1
        self.still = 0 if busy else self.still + 1
        return self.still >= LOOKS or self.silent >= _BUSY_LOOKS

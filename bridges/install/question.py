"""A question at the terminal, to be answered with yes or no."""

from bridges.terminal import say


def agrees(question: str) -> bool:
    """Whether the user says yes, which is the default. An interrupt ends the line, says so, and goes on to the caller."""
    try:
        return str(input(f"{question} [Y/n] ")).strip().lower() in ("", "y", "yes")
    except EOFError:
        return False
    except KeyboardInterrupt:
        say("\nNothing was changed")
        raise

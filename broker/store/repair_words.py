"""How a repair of the database is told."""


def loss(saved: int, lost: int | None) -> str:
    """How much a repair could not save, in words."""
    if lost is not None:
        return f"{lost} unread {'one' if lost == 1 else 'ones'} could not be read"
    return "how many are lost is unknown" + ("" if saved else ", perhaps all")

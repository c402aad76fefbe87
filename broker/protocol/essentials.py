"""What quick programs need of the table of actions, and nothing else of it. The table takes these facts from here."""

STORES = ("send", "broadcast", "reply", "ask", "forward")
"""Requests that store mail, and so take a message id: one made again with the same id is stored once."""

LANDINGS = ("turn", "tool", "interrupt")
"""When mail may reach a working agent, the mildest first. The store keeps the position."""

AUTOCHECK_MINUTES = 5
"""Minutes between automatic checks where an agent names none."""

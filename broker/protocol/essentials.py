"""What quick programs need to know of requests, and nothing else of the table of actions, which takes its facts from here."""

DEFAULT_TIMEOUT_S = 30.0
"""Seconds that a client waits for a reply, beside what its request may wait at the broker."""

STORES = ("send", "broadcast", "reply", "ask", "forward", "dead_send", "dead_forward", "schedule")
"""Requests that store mail, now or later, and so take a message id: one made again with the same id is stored once."""

LANDINGS = ("digest", "turn", "tool", "interrupt")
"""When mail may reach an agent, the mildest first: with other mail, when its turn ends, after its next tool call, at once."""

EVIDENCE = ("hook", "tool", "closed", "inferred")
"""By what a door knows that a model has its mail. The last two are conclusions: the connection was closed in order; nothing
shows that the mail was lost."""

AUTOCHECK_MINUTES = 5
"""Minutes between automatic checks where an agent names none."""

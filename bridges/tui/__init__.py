"""``ipc top``: the person's Now in a terminal, live. Extra ``tui`` (Textual), which nothing outside this folder imports.

    broker --changed--> live --overview--> bridges.view --> lines (rows, cut to the width) --> board (cells on the screen)
    keys --> app --> bridges.person (as the person) or an owner's request --> broker

Nothing here leases or acknowledges mail of others. Their text reaches the screen as cells with a style of ours, not as markup.
"""

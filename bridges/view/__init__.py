"""What a person is shown, at the page, in the terminal view and in a notification: pure functions of the broker's replies.

    reply of the broker --> function here --> typed rows --> page, terminal view, notification

Nothing here asks, waits or reads a clock: the moment is passed in, or is the reply's own ``at``. Nothing here knows HTML or a
terminal. Text of others leaves this package visible (``bridges.fence``), so whoever shows it has only to keep it text.
"""

"""What keeps the service running: the supervisor, its heartbeat, and how the first client starts it."""

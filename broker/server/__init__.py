"""The broker process: its loop, its sockets, whose turn it is, what it does when idle."""

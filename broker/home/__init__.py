"""This machine's data folder: where it is, its settings, its private files and locks, its sockets, its keys, its logs."""

"""Mail out of the data folder and in again: ``ipc export`` and ``ipc import``, the owner's. docs/leave.md has the forms."""

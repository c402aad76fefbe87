"""The ways into this broker."""

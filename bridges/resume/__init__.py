"""The door that starts a closed session again when mail comes for it."""

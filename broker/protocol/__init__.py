"""What both ends of a connection agree on: requests, errors, frames, names, ids. Nothing else of ours is imported here."""

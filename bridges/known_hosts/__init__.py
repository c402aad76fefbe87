"""The hosts that we know, a folder each: its facts, its hooks, what is put into it. To add one: docs/adding-a-host.md."""

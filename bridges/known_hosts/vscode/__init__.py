"""VS Code agent mode."""

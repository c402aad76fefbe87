"""The hosts of agents (Claude Code, Gemini CLI, Codex CLI): their hooks, how an idle one is woken, what is installed."""

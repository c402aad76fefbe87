"""The hosts of agents (Claude Code, Gemini CLI, Codex CLI): their hooks, their monitors, the git guard."""

"""A program that stands for a host's own: it runs our hooks as Claude Code does, and writes down what its model would see.

    claude --resume SESSION -p PROMPT [--permission-mode MODE ...]     a body
    claude --resume SESSION                                            a terminal: it stays until its standard input ends

Its journal has a JSON object a line: ``run``, ``saw`` (a text that a hook added), ``double`` (another process of the session
runs), ``end``. A mail with ``[works 2 s]`` has its model work for so long. ``$SCRIPT_MODE`` is the mode of a terminal.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time

HOME = os.environ["IPC_HOME"]
IPC = [sys.executable, "-m", "bridges.cli"]


def journal(**entry: object) -> None:
    line = json.dumps({"pid": os.getpid(), "at": time.time(), **entry}) + "\n"
    fd = os.open(os.path.join(HOME, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line.encode())
    os.close(fd)


class Host:
    """One process of a session."""

    def __init__(self, words: list[str]) -> None:
        self.session = words[words.index("--resume") + 1]
        self.prompt = words[words.index("-p") + 1] if "-p" in words else ""
        given = words[words.index("--permission-mode") + 1] if "--permission-mode" in words else ""
        self.work_s = 0.0
        self.mode = given or os.environ.get("SCRIPT_MODE", "default")

    def hook(self, event: str, **fields: object) -> None:
        body = {"session_id": self.session, "cwd": os.getcwd(), "hook_event_name": event, **fields}
        env = {**os.environ, "CLAUDE_CODE_SESSION_ID": self.session, "CLAUDE_PID": str(os.getpid()), "CLAUDECODE": "1"}
        env["PYTHONPATH"] = os.environ["SCRIPT_ROOT"]
        done = subprocess.run(
            [*IPC, "hook", "claude", event], input=json.dumps(body).encode(), env=env, capture_output=True, check=False
        )
        if done.stdout:
            answer = json.loads(done.stdout)
            told = answer.get("hookSpecificOutput", {}).get("additionalContext", answer.get("reason", ""))
            journal(saw=told)
            for seconds in re.findall(r"\[works ([0-9.]+) s\]", told):
                self.work_s = float(seconds)

    def run(self, words: list[str]) -> None:
        alone = os.open(os.path.join(HOME, f"alone-{self.session}"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            journal(double=self.session, body=bool(self.prompt))
        journal(run=self.session, body=bool(self.prompt), words=words, folder=os.getcwd())
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self.hook("SessionStart", source="resume")
            if self.prompt:
                self.turn(self.prompt)
            else:
                for line in sys.stdin:
                    self.turn(line.strip())
        finally:
            self.hook("SessionEnd", reason="other")
            journal(end=self.session)

    def turn(self, prompt: str) -> None:
        self.hook("UserPromptSubmit", prompt=prompt, permission_mode=self.mode)
        time.sleep(self.work_s)
        self.hook("Stop", stop_hook_active=False, permission_mode=self.mode)


if __name__ == "__main__":
    Host(sys.argv[1:]).run(sys.argv[1:])

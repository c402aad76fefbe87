"""Read new messages: ipc_check.py"""

import json
import sys

import ipc_client


def show(reply):
    """Print the mail of one reply, which is acknowledged when this returns."""
    for mail in reply["messages"]:
        message = mail["message"]
        ipc_client.show("From: %s\nTime: %s" % (ipc_client.printable(mail["from"]), mail["timestamp"]))
        ipc_client.show("Content: %s" % ipc_client.printable(message["content"]))
        if message.get("data") is not None:
            ipc_client.show("Data: %s" % json.dumps(message["data"], indent=2))
        ipc_client.show("-" * 50)


def main(_arguments):
    total, more = 0, 1
    while more:
        reply = ipc_client.call("check", show)
        total += len(reply["messages"])
        more = reply.get("more", 0) if reply["messages"] else 0
    if not total:
        ipc_client.show("No new messages")


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_check.py", 0, 0))

"""Send to every registered instance: ipc_broadcast.py [--id ID] MESSAGE..."""

import sys

import ipc_client


def main(arguments):
    message_id, words = ipc_client.take_id(arguments)
    reply = ipc_client.call("broadcast", message={"content": " ".join(words)}, message_id=message_id)
    ipc_client.sent(reply, reply["message"])


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_broadcast.py [--id ID] MESSAGE...", 1))

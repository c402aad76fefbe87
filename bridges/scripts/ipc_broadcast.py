"""Send to every registered instance: ipc_broadcast.py MESSAGE..."""

import sys
import uuid

import ipc_client


def main(arguments):
    reply = ipc_client.call("broadcast", message={"content": " ".join(arguments)}, message_id=uuid.uuid4().hex)
    ipc_client.show(reply["message"])


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_broadcast.py MESSAGE...", 1))

"""Send a message: ipc_send.py TO MESSAGE..."""

import sys
import uuid

import ipc_client


def main(arguments):
    message = {"content": " ".join(arguments[1:])}
    reply = ipc_client.call("send", to_id=arguments[0], message=message, message_id=uuid.uuid4().hex)
    ipc_client.show("%s: %s" % (reply["message"], arguments[0]))
    if reply.get("did_you_mean"):
        ipc_client.show("Did you mean %s?" % reply["did_you_mean"])


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_send.py TO MESSAGE...", 2))

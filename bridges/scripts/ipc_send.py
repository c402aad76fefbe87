"""Send a message: ipc_send.py [--id ID] TO MESSAGE...

With an id of your own (up to 64 characters) the command can be run again: the message is stored once.
"""

import sys

import ipc_client


def main(arguments):
    message_id, (to, *words) = ipc_client.take_id(arguments)
    reply = ipc_client.call("send", to_id=to, message={"content": " ".join(words)}, message_id=message_id)
    ipc_client.sent(reply, "%s: %s" % (reply["message"], to))


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_send.py [--id ID] TO MESSAGE...", 2))

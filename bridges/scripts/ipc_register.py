"""Take a name: ipc_register.py NAME"""

import sys

import ipc_client


def main(arguments):
    reply = ipc_client.register(arguments[0])
    ipc_client.show("Registered as %s" % arguments[0])
    ipc_client.show(reply["message"])


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_register.py NAME", 1, 1))

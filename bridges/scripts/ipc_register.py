"""Take a name: ipc_register.py NAME [--force]"""

import sys

import ipc_client


def main(arguments):
    (name,) = (word for word in arguments if word != "--force")
    reply = ipc_client.register(name, force="--force" in arguments)
    ipc_client.show("Registered as %s" % name)
    ipc_client.show(reply["message"])


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_register.py NAME [--force]", 1, 1))

"""Take another name: ipc_rename.py NEW_NAME"""

import sys

import ipc_client


def main(arguments):
    reply = ipc_client.call("rename", new_id=arguments[0])
    ipc_client.save_session(arguments[0], ipc_client.load_session()[1])
    ipc_client.show(reply["message"])


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_rename.py NEW_NAME", 1, 1))

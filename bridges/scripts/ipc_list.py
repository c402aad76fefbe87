"""Who is registered: ipc_list.py"""

import sys

import ipc_client


def main(_arguments):
    for row in ipc_client.call("list")["instances"]:
        ipc_client.show("%s (last seen: %s)" % (row["id"], row["last_seen"]))


if __name__ == "__main__":
    sys.exit(ipc_client.run(main, "ipc_list.py", 0, 0))

"""Runs one command as somebody who is not root: PostgreSQL refuses to run as root, and wants a user that has a name.

Started as a script, `unprivileged.py namespace|user UID GID -- COMMAND...`, so that it is a fresh, single-threaded
process: Linux lets only such a process enter a new user namespace. It imports the standard library alone.

`namespace` maps who we are to UID:GID inside a new user namespace (user_namespaces(7)): the command sees itself as
UID, while every file that it makes stays ours. `user` changes to UID:GID for good, which only root may do.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000  # linux/sched.h


def enter_namespace(uid: int, gid: int) -> None:
    """Maps the current user and group to uid and gid in a new user namespace.

    Raises OSError where the system does not allow it.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")  # required before an unprivileged gid_map
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1", encoding="ascii")


def become(uid: int, gid: int) -> None:
    """Gives up root for good. Raises OSError when we are not root."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(arguments: list[str]) -> None:
    """Replaces this process by the command; a refusal is one line on stderr and exit code 1."""
    way, uid, gid, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit("usage: unprivileged.py namespace|user UID GID -- COMMAND...")
    try:
        {"namespace": enter_namespace, "user": become}[way](int(uid), int(gid))
    except OSError as error:
        sys.exit(f"{way}: {error.strerror}")
    os.execv(command[0], command)  # noqa: S606 - running the given command is what this script is for


if __name__ == "__main__":
    main(sys.argv[1:])

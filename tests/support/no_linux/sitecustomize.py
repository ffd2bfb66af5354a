"""On PYTHONPATH, it hides from each Python process what only Linux has: names of `os`, `signal`, `socket`, `fcntl`, and /proc."""

import select
import sys

for name in dir(select):
    if name.startswith(("epoll", "EPOLL")):
        delattr(select, name)

# ruff: noqa: E402
# After epoll is hidden: `socket` imports `selectors`, which takes it if it is there.
import fcntl
import os
import signal
import socket

BEGINNINGS = {
    os: "sched_ SCHED_ pidfd_ P_PIDFD memfd_ MFD_ eventfd EFD_ timerfd_ TFD_ unshare setns splice SPLICE_ CLONE_ O_PATH O_TMPFILE "
    "O_DIRECT O_NOATIME posix_f pipe2 fdatasync getxattr listxattr setxattr removexattr copy_file_range getrandom GRND_",
    signal: "SIGRT SIGPOLL SIGPWR SIGSTKFLT SIGCLD pidfd_ sigtimedwait sigwaitinfo",
    socket: "SO_REUSEPORT SO_PEERCRED SO_BINDTODEVICE SO_MARK SO_INCOMING_CPU SO_PRIORITY TCP_USER_TIMEOUT TCP_QUICKACK TCP_CORK "
    "TCP_DEFER_ACCEPT TCP_INFO SOCK_NONBLOCK SOCK_CLOEXEC SOCK_SEQPACKET AF_NETLINK AF_PACKET AF_VSOCK AF_ALG MSG_CMSG_CLOEXEC "
    "MSG_ERRQUEUE MSG_MORE MSG_CONFIRM",
    fcntl: "F_SETSIG F_GETSIG F_NOTIFY F_ADD_SEALS F_GET_SEALS F_SEAL_ F_SETPIPE_SZ F_GETPIPE_SZ F_OFD_ DN_",
}
"""Of the names that are hidden, by module."""

FOLDERS = ("/proc", "/sys")

for module, beginnings in BEGINNINGS.items():
    for name in dir(module):
        if name.startswith(tuple(beginnings.split())) and name != "O_DIRECTORY":  # macOS has that.
            delattr(module, name)


def refuse_hidden(event: str, arguments: tuple[object, ...]) -> None:
    """Raise FileNotFoundError for what is in a hidden folder."""
    if event in ("open", "os.listdir", "os.scandir", "os.chdir") and isinstance(arguments[0], str | bytes | os.PathLike):
        path = os.fsdecode(arguments[0])
        if f"{path}/".startswith(tuple(f"{folder}/" for folder in FOLDERS)):
            raise FileNotFoundError(2, "No such file or directory", path)


def stat(path: object, *more: object, stat: object = os.stat, **options: object) -> object:
    refuse_hidden("open", (path,))
    return stat(path, *more, **options)  # type: ignore[operator]


sys.addaudithook(refuse_hidden)
os.stat = stat  # type: ignore[assignment]

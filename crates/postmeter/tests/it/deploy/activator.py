"""What systemd does for a service with sockets, in the little that the tests need.

Binds both sockets and runs a command with them. SIGHUP restarts the command as
`systemctl restart` does: it is told to stop, its connections are kept, and the next
one gets the same sockets and those connections. SIGTERM stops it.
"""

import os
import signal
import socket
import sys

PATIENCE_S = 60


def bound():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    return listener


def start(command, notify, passed):
    """Runs the command with the sockets as its descriptors from 3 on."""
    pid = os.fork()
    if pid:
        return pid
    # First out of the way, then each to its place.
    high = [os.dup2(each.fileno(), 500 + n) for n, (_, each) in enumerate(passed)]
    for n, fd in enumerate(high):
        os.dup2(fd, 3 + n)
    os.closerange(3 + len(high), 1024)
    environment = dict(
        os.environ,
        LISTEN_PID=str(os.getpid()),
        LISTEN_FDS=str(len(passed)),
        LISTEN_FDNAMES=":".join(name for name, _ in passed),
        NOTIFY_SOCKET=notify,
    )
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.execve(command[0], command, environment)


def hear(notify, kept):
    """One message from the command, and the connection that may be beside it."""
    text, descriptors, _, _ = socket.recv_fds(notify, 4096, 1)
    lines = text.decode().splitlines()
    if "FDSTORE=1" in lines:
        name = next(line[7:] for line in lines if line.startswith("FDNAME="))
        kept += [(name, socket.socket(fileno=fd)) for fd in descriptors]
    return lines


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM})
    path = "@postmeter-test-%d" % os.getpid()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind("\0" + path[1:])
    notify.settimeout(PATIENCE_S)
    sockets = [("receive", bound()), ("console", bound())]
    kept = []
    while True:
        pid = start(sys.argv[1:], path, sockets + kept)
        for _, connection in kept:
            connection.close()
        kept = []
        while "READY=1" not in hear(notify, kept):
            pass
        print("ready", flush=True)
        asked = signal.sigwait({signal.SIGHUP, signal.SIGTERM})
        os.kill(pid, signal.SIGTERM)
        notify.settimeout(0.01)
        ended = 0
        while not ended:
            ended, status = os.waitpid(pid, os.WNOHANG)
            try:
                hear(notify, kept)
            except TimeoutError:
                pass
        # What it said last.
        notify.settimeout(0)
        while True:
            try:
                hear(notify, kept)
            except BlockingIOError:
                break
        notify.settimeout(PATIENCE_S)
        print("kept", len(kept), flush=True)
        if asked == signal.SIGTERM or status:
            return os.waitstatus_to_exitcode(status)


sys.exit(main())

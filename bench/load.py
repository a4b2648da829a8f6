"""Makes signed events, and sends them: by wrk for rates, by threads for answers.

It knows what a webhook looks like and nothing of clusters.
"""

import hashlib
import hmac
import http.client
import itertools
import json
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from rig import SIGNING_KEY

TIMESTAMP = "1700000000"
_LUA = Path(__file__).with_name("pool.lua")
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def event(kind, n, size):
    """The body of an event that nothing else repeats, about `size` bytes long."""
    body = {
        "event_id": f"01BENCH{kind}{n:018}",
        "object_type": "email",
        "metric": "opened",
        "timestamp": 1_700_000_000 + n % 1_000_000,
        "data": {
            "identifiers": {"id": f"person-{n}"},
            "delivery_id": f"{kind}-{n}",
            "recipient": f"person-{n}@example.com",
            "subject": "hello",
            "campaign_id": 17,
            "filler": "",
        },
    }
    short = len(json.dumps(body, separators=(",", ":")))
    body["data"]["filler"] = "x" * max(0, size - short)
    return json.dumps(body, separators=(",", ":")).encode()


def headers(body):
    """The headers of a webhook, signed as Customer.io signs."""
    text = f"v0:{TIMESTAMP}:".encode() + body
    signature = hmac.new(SIGNING_KEY.encode(), text, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-CIO-Timestamp": TIMESTAMP,
        "X-CIO-Signature": signature,
    }


def write_pool(path, kind, n, size):
    """Writes whole requests for wrk to send, one after another."""
    with open(path, "wb") as pool:
        for number in range(n):
            body = event(kind, number, size)
            lines = [f"{name}: {value}" for name, value in headers(body).items()]
            head = ["POST /webhooks/acme HTTP/1.1", "Host: localhost", *lines]
            head.append(f"Content-Length: {len(body)}\r\n\r\n")
            request = "\r\n".join(head).encode() + body
            pool.write(b"%d\n" % len(request) + request)


@dataclass
class Blast:
    """What wrk saw."""

    rate: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int


class Wrk:
    """wrk on one node, for a while."""

    def __init__(self, node, pool, connections, seconds, threads):
        host, port = node.receive
        args = ["wrk", "--latency", f"-t{threads}", f"-c{connections}"]
        args += [f"-d{seconds}s", "--timeout", "10s", "-s", str(_LUA)]
        args += [f"http://{host}:{port}/webhooks/acme", "--", str(pool), str(threads)]
        self.child = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
        self.pid = self.child.pid

    def blast(self):
        """Waits for its end."""
        said, _ = self.child.communicate(timeout=120)
        number = lambda pattern: float((re.findall(pattern, said) or ["0"])[0])
        broken = re.findall(r"Socket errors: (.*)", said)
        return Blast(
            rate=number(r"Requests/sec:\s+([\d.]+)"),
            p50_ms=_milliseconds(said, "50%"),
            p99_ms=_milliseconds(said, "99%"),
            refused=int(number(r"Non-2xx or 3xx responses: (\d+)")),
            broken=sum(map(int, re.findall(r"\d+", broken[0]))) if broken else 0,
        )


def _milliseconds(said, percentile):
    found = re.search(rf"^\s+{percentile}\s+([\d.]+)(us|ms|s|m)\s*$", said, re.M)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


@dataclass
class Answer:
    """One request's end: when, what, and for which event."""

    at: float
    status: int
    event: tuple


@dataclass
class Senders:
    """Threads that each send one event after another over a connection of its own.

    An event is sent until it is answered 200 where `insist` is set. A connection
    that breaks counts as status 0.
    """

    node: object
    events: object
    size: int
    connections: int
    pause_s: float = 0.0
    insist: bool = False
    answers: list = field(default_factory=list)

    def start(self):
        self.events = iter(self.events)
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.threads = [
            threading.Thread(target=self._send, daemon=True)
            for _ in range(self.connections)
        ]
        for thread in self.threads:
            thread.start()
        return self

    def join(self):
        """Waits until the events are used up."""
        for thread in self.threads:
            thread.join()
        return self.answers

    def end(self):
        """Asks all to stop, and waits for their last answers."""
        self.stop.set()
        return self.join()

    def _next(self):
        with self.lock:
            return next(self.events, None)

    def _send(self):
        connection = http.client.HTTPConnection(*self.node.receive, timeout=30)
        while not self.stop.is_set() and (which := self._next()) is not None:
            body = event(*which, self.size)
            signed = headers(body)
            while True:
                status = _post(connection, body, signed)
                self.answers.append(Answer(time.monotonic(), status, which))
                if self.pause_s:
                    self.stop.wait(self.pause_s)
                if status == 200 or not self.insist or self.stop.is_set():
                    break
        connection.close()


def _post(connection, body, signed):
    try:
        connection.request("POST", "/webhooks/acme", body, signed)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens it anew
        time.sleep(0.05)
        return 0


def endless(kind):
    """Events of a kind, for ever."""
    return ((kind, n) for n in itertools.count())

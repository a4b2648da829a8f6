#!/usr/bin/env python3
"""What a connection in trouble costs its neighbour: the time from receipt to arrival.

Two servers with embedded journals take the same events at the same steady pace.
The one has a healthy connection alone; the other has beside it one that hangs,
refuses in one of several ways, or is slow. They run side by side, since what a
machine does meanwhile would be more than what is looked for. Every turn begins
with new folders; the turn "nothing" compares a server with its like.

    bench/isolation.py --postmeter target/release/postmeter
"""

import http.client
import json
import math
import multiprocessing
import statistics
import threading
import time
import urllib.request
import zlib
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from load import event, headers
from rig import Node, Process, WORKSPACE, conduct, connection, cpu_of, free_ports, options

# What the neighbour's Segment does; None where nobody listens there.
NOTHING = "nothing"
NEIGHBOURS = {
    NOTHING: None,
    "hangs": {"hang": True, "times": "always"},
    "nobody listens": None,
    "answers 401": {"status": 401, "times": "always"},
    "answers 400": {"status": 400, "times": "always"},
    "answers 503": {"status": 503, "times": "always"},
    "resets": {"reset": True, "times": "always"},
    "takes 2 s": {"delay_ms": 2000, "times": "always"},
    "is healthy, too": {"delay_ms": 0, "times": "always"},
}
SENDERS = 4
# A turn's first seconds are not counted: connections are made, memory is filled.
WARM_UP_S = 2


def take(port, line):
    """A Segment that notes when each call arrives; its process ends by a word."""
    taken, lock = [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            at = time.monotonic()
            if self.headers.get("content-encoding") == "gzip":
                body = zlib.decompress(body, 31)
            sent = [call["properties"]["sent_at"] for call in json.loads(body)["batch"]]
            with lock:
                taken.extend((each, at) for each in sent)
            answer = b'{"success": true}'
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    line.send("ready")
    line.recv()
    time.sleep(1)  # what is on its way arrives
    with lock:
        line.send(taken)


def send(addresses, rate, seconds, line):
    """Sends events at a steady pace, each to all; tells how they were answered."""
    counts, lock = {}, threading.Lock()

    def one(index):
        links = [http.client.HTTPConnection(*each, timeout=10) for each in addresses]
        begun, n = time.monotonic(), 0
        while True:
            due = begun + (n + index / SENDERS) * SENDERS / rate
            if due - begun > seconds:
                return
            time.sleep(max(0, due - time.monotonic()))
            body = json.loads(event("iso", n * SENDERS + index, 500))
            # Neither is always the first.
            for link in links if n % 2 else reversed(links):
                body["data"]["sent_at"] = time.monotonic()
                text = json.dumps(body).encode()
                link.request("POST", "/webhooks/acme", text, headers(text))
                answer = link.getresponse()
                answer.read()
                with lock:
                    counts[answer.status] = counts.get(answer.status, 0) + 1
            n += 1

    threads = [threading.Thread(target=one, args=[index]) for index in range(SENDERS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    line.send(counts)


def beside(target, *args):
    """A process of this script, and the line to it."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=target, args=(*args, theirs), daemon=True)
    process.start()
    return process, ours


def neighbour(program, folder, fault):
    """Where a Segment in trouble is, and its process if there is one."""
    if fault is None:
        return f"http://127.0.0.1:{free_ports(1)[0]}", None
    listen = ["emulator", "segment", "--listen", "127.0.0.1:0"]
    process = Process("neighbour", [program, *listen], folder)
    endpoint = process.line("listening on ")
    script = json.dumps([fault]).encode()
    urllib.request.urlopen(f"{endpoint}/emulator/faults", script).close()
    return endpoint, process


class Side:
    """A server with a healthy connection, and perhaps a neighbour of it."""

    def __init__(self, program, folder, what):
        port = free_ports(1)[0]
        self.taker, self.taken = beside(take, port)
        assert self.taken.recv() == "ready"
        endpoint, self.neighbour = f"http://127.0.0.1:{port}", None
        connections = WORKSPACE + connection("healthy", endpoint)
        if what != NOTHING:
            endpoint, self.neighbour = neighbour(program, folder, NEIGHBOURS[what])
            connections += connection("neighbour", endpoint)
        more = "[dispatch]\nrequest_timeout_s = 5\n"
        self.node = Node(folder / "node", program, "node", more, connections)

    def end(self, since):
        """The milliseconds that each event took that arrived since, sorted; and how many."""
        self.taken.send("enough")
        arrived = self.taken.recv()
        self.taker.join()
        self.node.end()
        if self.neighbour:
            self.neighbour.end()
        took = sorted((at - when) * 1e3 for when, at in arrived if when > since)
        return took, len(arrived)


def turn(program, folder, what, args):
    """The times of a server alone, and of one with a neighbour."""
    sides = [
        Side(program, folder / "alone", NOTHING),
        Side(program, folder / "beside", what),
    ]
    since, seconds = time.monotonic() + WARM_UP_S, args.seconds + WARM_UP_S
    pids = [side.node.process.pid for side in sides]
    cpu = [cpu_of([pid]) for pid in pids]
    addresses = [side.node.receive for side in sides]
    sender, sent = beside(send, addresses, args.rate, seconds)
    counts = sent.recv()
    sender.join()
    n_events = counts.get(200, 0) // 2
    assert set(counts) == {200}, f"not every event was taken: {counts}"
    cpu = [(cpu_of([pid]) - before) / n_events * 1e6 for pid, before in zip(pids, cpu)]
    ends = [side.end(since) for side in sides]
    for _, arrived in ends:
        assert arrived >= n_events * 0.99, f"{arrived} of {n_events} arrived"
    return [Times.of(took, us) for (took, _), us in zip(ends, cpu)]


@dataclass
class Times:
    """What one server's events took, in milliseconds, and cost, in microseconds."""

    p50: float
    p99: float
    cpu_us: float

    @staticmethod
    def of(took, cpu_us):
        return Times(quantile(took, 0.5), quantile(took, 0.99), cpu_us)


def quantile(values, share):
    return values[min(len(values) - 1, math.ceil(len(values) * share) - 1)]


def main():
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--rate", type=int, default=250, help="events a second to each")
    parser.add_argument("--only", help="one neighbour's word")
    conduct(run, parser.parse_args())


def run(folder, program, args):
    kinds = [what for what in NEIGHBOURS if args.only in (None, what)]
    found, n_turn = {what: [] for what in kinds}, 0
    for _ in range(args.rounds):
        for what in kinds:
            n_turn += 1
            alone, other = turn(program, folder / str(n_turn), what, args)
            found[what].append((alone, other))
            print(
                f"alone: p50 {alone.p50:7.2f} p99 {alone.p99:8.2f} ms {alone.cpu_us:5.0f} us;"
                f" beside: p50 {other.p50:7.2f} p99 {other.p99:8.2f} ms {other.cpu_us:5.0f} us"
                f" (the neighbour: {what})",
                flush=True,
            )
    for what, turns in found.items():
        ratios = [
            statistics.median(getattr(b, each) / getattr(a, each) for a, b in turns)
            for each in ["p50", "p99", "cpu_us"]
        ]
        p50, p99, cpu = (f"{ratio:.3f}" for ratio in ratios)
        print(f"{what}: {p50} of p50, {p99} of p99, {cpu} of the processor's time")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What it costs that somebody looks: throughput with and without open pages.

One server with an embedded journal takes events as fast as wrk sends them. In
turns nobody looks, and somebody has the debugger and the overview open; the
turns that follow each other are compared. While they look, the debugger's own pace and the
time that an event's page takes are measured.

    bench/console.py --postmeter target/release/postmeter
"""

import http.client
import statistics
import threading
import time
import urllib.parse
from dataclasses import dataclass

from load import Wrk, write_pool
from rig import Node, Process, WORKSPACE, conduct, connection, cpu_of, options, until



class Browser:
    """A session of the console: pages, and streams that threads read."""

    def __init__(self, node):
        host, port = node.console.split(":")
        self.address = (host, int(port))
        body = urllib.parse.urlencode({"token": node.token()})
        answer = self._request("POST", "/login", body)
        self.cookie = answer.getheader("set-cookie").split(";")[0]
        self.streams = []

    def _request(self, method, path, body=None, headers=None):
        line = http.client.HTTPConnection(*self.address, timeout=30)
        line.request(method, path, body, headers or {})
        return line.getresponse()

    def page(self, path):
        """The seconds that a page took."""
        begun = time.monotonic()
        answer = self._request("GET", path, headers={"Cookie": self.cookie})
        answer.read()
        assert answer.status == 200, f"{path} answered {answer.status}"
        return time.monotonic() - begun

    def watch(self, path):
        """Reads a stream of server-sent events until `close`."""
        answer = self._request("GET", path, headers={"Cookie": self.cookie})
        assert answer.status == 200, f"{path} answered {answer.status}"
        stream = {"at": [], "rows": 0, "answer": answer}
        self.streams.append(stream)

        def read():
            try:
                for line in answer:
                    if line.startswith(b"event:"):
                        stream["at"].append(time.monotonic())
                    stream["rows"] += line.count(b"<tr")
            except (OSError, ValueError, AttributeError):
                pass

        threading.Thread(target=read, daemon=True).start()
        return stream

    def close(self):
        for stream in self.streams:
            stream["answer"].close()
        self.streams = []


def gaps(stream):
    at = stream["at"]
    return [later - earlier for earlier, later in zip(at, at[1:])]


@dataclass
class Turn:
    """What one turn gave."""

    received: float
    ended: float
    p99_ms: float
    cpu_us: float


def turn_of(node, pool, args, watched):
    """One turn, with the pages' times and what the debugger told."""
    browser, pages, debugger = Browser(node), [], None
    if watched:
        debugger = browser.watch("/live/debugger")
        browser.watch("/live/overview")
    before = node.gauge("postmeter_records_ended_total")
    cpu, begun = cpu_of([node.process.pid]), time.monotonic()
    wrk = Wrk(node, pool, args.connections, args.seconds, 1)
    while watched and time.monotonic() - begun < args.seconds - 1:
        pages.append(browser.page("/events/1"))
        time.sleep(0.5)
    blast = wrk.blast()
    took = time.monotonic() - begun
    cpu = cpu_of([node.process.pid]) - cpu
    n_ended = node.gauge("postmeter_records_ended_total") - before
    seen = (gaps(debugger), debugger["rows"]) if debugger else ([], 0)
    browser.close()
    until("the index has caught up", lambda: node.index_lag() == 0)
    return Turn(blast.rate, n_ended / took, blast.p99_ms, cpu / n_ended * 1e6), pages, seen


def main():
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--send", action="store_true", help="to the Segment stand-in too")
    conduct(run, parser.parse_args())


def run(folder, program, args):
    endpoint, events = "http://127.0.0.1:9", 'events = ["slack_sent"]'
    if args.send:
        listen = ["emulator", "segment", "--listen", "127.0.0.1:0"]
        segment = Process("segment", [program, *listen], folder)
        endpoint, events = segment.line("listening on "), ""
    connections = WORKSPACE + connection("bench", endpoint, events)
    journal = "max_bytes = 60000000000"
    node = Node(folder / "node", program, "node", journal, connections)
    alone, watched, waits, pages, rows = [], [], [], [], 0
    for number in range(args.rounds * 2):
        pool = folder / f"pool{number}"
        write_pool(pool, f"r{number}", 300_000, 700)
        looks = number % 2 == 1
        turn, took, (gap, n_rows) = turn_of(node, pool, args, looks)
        pool.unlink()
        (watched if looks else alone).append(turn)
        waits += gap
        pages += took
        rows += n_rows
        who = "watched" if looks else "alone  "
        print(
            f"{who} {turn.received:8.0f} received/s {turn.ended:8.0f} ended/s"
            f" p99 {turn.p99_ms:6.2f} ms, {turn.cpu_us:6.1f} us of processor an event",
            flush=True,
        )
    for what in ["received", "ended", "p99_ms", "cpu_us"]:
        a = statistics.median(getattr(each, what) for each in alone)
        w = statistics.median(getattr(each, what) for each in watched)
        # The machine's own pace drifts, so neighbours are compared.
        pairs = [
            getattr(two, what) / getattr(one, what) for one, two in zip(alone, watched)
        ]
        between = f"{min(pairs):.3f} to {max(pairs):.3f}"
        print(
            f"{what}: {a:.1f} alone, {w:.1f} watched;"
            f" ratio of neighbours {statistics.median(pairs):.3f} ({between})"
        )
    waits.sort()
    print(
        f"the debugger told something every {statistics.median(waits):.2f} s"
        f" (p99 {waits[int(len(waits) * 0.99)]:.2f} s), {rows} rows;"
        f" an event's page took {statistics.median(pages) * 1e3:.0f} ms"
        f" (at most {max(pages) * 1e3:.0f} ms)"
    )


if __name__ == "__main__":
    main()

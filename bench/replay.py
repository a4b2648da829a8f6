#!/usr/bin/env python3
"""What a replay costs live events: latencies with and without one, in turns.

One server with an embedded journal and the Segment stand-in. First the history
is received and delivered. Then live events come at a steady rate, while a replay
of all that history is let go on and held in turns: of each live event the time
to its 200, and to its arrival at the stand-in, are measured. The replay is
cancelled in the middle and resumed. In the end the stand-in, which drops message
ids that it has seen, has dropped each event of the history once, and stored none
under another id.

    bench/replay.py --postmeter target/release/postmeter
"""

import http.client
import json
import os
import statistics
import subprocess
import threading
import time
import urllib.request
from datetime import datetime

from load import event, headers
from rig import WORKSPACE, Node, Process, conduct, connection, environment, get, options, until



class Live:
    """Sends events at a steady rate, and remembers when each left and was answered."""

    def __init__(self, node, rate, n_threads=4):
        self.node, self.stop = node, threading.Event()
        self.sent, self.lock = {}, threading.Lock()
        self.gap = n_threads / rate
        self.threads = [
            threading.Thread(target=self._send, args=(index, n_threads), daemon=True)
            for index in range(n_threads)
        ]
        for thread in self.threads:
            thread.start()

    def _send(self, index, n_threads):
        line = http.client.HTTPConnection(*self.node.receive, timeout=30)
        due, n = time.monotonic() + index * self.gap / n_threads, index
        while not self.stop.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            due += self.gap
            body = event("L", n, 500)
            left = time.time()
            line.request("POST", "/webhooks/acme", body, headers(body))
            answer = line.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            with self.lock:
                self.sent[f"L-{n}"] = (left, time.time() - left)
            n += n_threads

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return self.sent


def history(node, n):
    """Sends the events that are replayed later: a simulated campaign."""
    host, port = node.receive
    args = [node.program, "emulator", "customerio", "--count", str(n), "--in-flight", "64"]
    args += ["--to", f"http://{host}:{port}/webhooks/acme"]
    args += ["--signing-key", "env:CIO_SIGNING_KEY"]
    subprocess.run(args, check=True, env={**os.environ, **environment()}, capture_output=True)


class Replay:
    """A replay of everything that was received before."""

    def __init__(self, node, rate):
        self.node = node
        asked = {"connection": "bench", "rate_per_s": rate}
        self.number = self._post("/api/replays", asked)["number"]

    def _post(self, path, body):
        url = f"http://{self.node.console}{path}"
        request = json.dumps(body).encode()
        asked = urllib.request.Request(url, data=request, method="POST")
        asked.add_header("Authorization", f"Bearer {self.node.token()}")
        asked.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read())

    def steer(self, how):
        return self._post(f"/api/replays/{self.number}/{how}", {})

    def seen(self):
        return self.node.api(f"/api/replays/{self.number}")


def arrivals(stand_in, n):
    """When each delivery's call arrived, by the stand-in's clock."""
    until("all live calls arrive", lambda: stats(stand_in)["calls"] >= n)
    found, offset = {}, 0
    while calls := json.loads(get(f"{stand_in}/emulator/calls?offset={offset}&limit=20000")):
        offset += len(calls)
        for call in calls:
            at = datetime.fromisoformat(call["receivedAt"]).timestamp()
            found[call["properties"].get("delivery_id")] = at
    return found


def stats(stand_in):
    return json.loads(get(f"{stand_in}/emulator/stats"))


def p(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def report(name, turns):
    """Medians over the turns, and of turns that follow each other the ratio."""
    print(f"{name:34}{'quiet':>10}{'replay':>10}{'ratio':>8}")
    for label, part in (("p50", 0.5), ("p99", 0.99)):
        quiet = [p(values, part) * 1e3 for with_replay, values in turns if not with_replay]
        busy = [p(values, part) * 1e3 for with_replay, values in turns if with_replay]
        ratios = [b / q for q, b in zip(quiet, busy)]
        print(
            f"  {label:32}{statistics.median(quiet):8.1f}ms"
            f"{statistics.median(busy):8.1f}ms{statistics.median(ratios):8.2f}"
        )


def main():
    parser = options(__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=5_000, help="of the replay")
    parser.add_argument("--live", type=int, default=200, help="events per second")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one turn")
    conduct(run, parser.parse_args())


def run(folder, program, args):
    listen = ["emulator", "segment", "--listen", "127.0.0.1:0", "--keep-calls", "1000000"]
    stand_in = Process("segment", [program, *listen], folder).line("listening on ")
    connections = WORKSPACE + connection("bench", stand_in)
    node = Node(folder / "a", program, "a", "", connections)
    begun = time.monotonic()
    history(node, args.records)
    until("the history is settled", lambda: node.gauge("postmeter_lag_records") == 0, 600)
    n_calls = stats(stand_in)["calls"]
    print(f"{args.records} events of history in {time.monotonic() - begun:.0f} s", flush=True)

    replay = Replay(node, args.rate)
    replay.steer("pause")
    live, spans = Live(node, args.live), []
    time.sleep(args.seconds / 2)
    was_cancelled = False
    while True:
        spans.append((False, time.time(), time.time() + args.seconds))
        time.sleep(args.seconds)
        before = replay.steer("resume")["examined"]
        begun = time.time()
        while time.time() < begun + args.seconds and replay.seen()["state"] == "running":
            time.sleep(0.1)
        took = time.time() - begun
        seen = replay.seen()
        print(f"  {(seen['examined'] - before) / took:8.0f} records/s replayed", flush=True)
        if took > args.seconds / 2:
            spans.append((True, begun, begun + took))
        else:
            spans.pop()
        if seen["state"] == "done":
            break
        middle = seen["examined"] > args.records / 2 and not was_cancelled
        was_cancelled |= middle
        held = replay.steer("cancel" if middle else "pause")
        print(f"  {held['state']} at {held['examined']}", flush=True)
    sent = live.end()
    arrived = arrivals(stand_in, n_calls + len(sent))

    turns = lambda value: [
        (with_replay, [value(id, at) for id, (at, _) in sent.items() if begin <= at < end])
        for with_replay, begin, end in spans
    ]
    report("time to the 200", turns(lambda id, at: sent[id][1]))
    report("time to arrival at the stand-in", turns(lambda id, at: arrived[id] - at))
    seen, counted = replay.seen(), stats(stand_in)
    counts = seen["counts"]
    print(f"replay: {seen['state']}, worked {seen['worked_s']:.1f} s, {counts}")
    print(f"stand-in: {counted['calls']} stored, {counted['duplicates']} seen before")
    assert counts["accepted"] == n_calls, "every record was accepted again"
    assert counted["calls"] == n_calls + len(sent), "none was stored under another id"
    assert counted["duplicates"] >= n_calls, "each id was seen a second time"
    assert was_cancelled, "it was cancelled on the way"


if __name__ == "__main__":
    main()

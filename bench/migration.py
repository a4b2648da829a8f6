"""Carries a journal of many records into a cluster that receives meanwhile, and
looks for every event in the stand-in for Segment."""

import itertools
import json
import subprocess
import time
from collections import Counter

from load import Senders, endless
from rig import WORKSPACE, Node, Process, connection, environment, get, until

EVENT_BYTES = 600
DRAIN_S = 600
PAGE = 20_000


class Segment:
    """The stand-in for Segment."""

    def __init__(self, bench):
        args = [bench.args.postmeter, "emulator", "segment", "--listen", "127.0.0.1:0"]
        args += ["--keep-calls", str(bench.args.records * 2)]
        self.process = Process("segment", args, bench.fresh("segment"))
        self.url = self.process.line("listening on ")

    def refuse(self, is_on):
        """Answers 503 to everything, or no longer."""
        if is_on:
            steps = json.dumps([{"status": 503, "times": 1_000_000_000}]).encode()
            get(f"{self.url}/emulator/faults", data=steps)
        else:
            get(f"{self.url}/emulator/faults", method="DELETE")

    def stats(self):
        return json.loads(get(f"{self.url}/emulator/stats"))

    def calls(self):
        """The message ids and the delivery ids of all stored calls."""
        found = []
        while True:
            query = f"?limit={PAGE}&offset={len(found)}"
            page = json.loads(get(f"{self.url}/emulator/calls{query}"))
            if not page:
                return found
            found += [(call["messageId"], call["properties"]["delivery_id"]) for call in page]


def settled(node):
    """Whether its one connection has nothing left to do."""
    each = node.api("/api/connections")["connections"]
    return each and all(line["lag_records"] == 0 for line in each)


def migrate(bench):
    """The whole: fill, stop, carry over, drain, look."""
    records = bench.args.records
    bench.say(f"### `postmeter migrate` of {records} records while nodes receive")
    bench.say()
    segment = Segment(bench)
    old, document, stored = fill(bench, segment, records)
    servers = bench.servers()
    fresh = lambda name: Node.on(
        servers, bench.fresh(name), bench.args.postmeter, name, "", document
    )
    a, b = fresh("a"), fresh("b")
    before = segment.stats()
    # New events at both nodes, and events again that the old server has stored and
    # not yet sent.
    again = (("old", n) for n in range(records // 2, records, 100))
    live = [
        Senders(a, endless("new-a"), EVENT_BYTES, 5, 0.02, insist=True),
        Senders(b, endless("new-b"), EVENT_BYTES, 5, 0.02, insist=True),
        Senders(b, again, EVENT_BYTES, 2, 0.02, insist=True),
    ]
    for senders in live:
        senders.start()
    begun = time.monotonic()
    command = a.command("migrate", "--from", str(old.folder / "journal"), "--json")
    carried = subprocess.run(
        command, capture_output=True, text=True, timeout=1_800, env=environment()
    )
    took = time.monotonic() - begun
    if carried.returncode != 0:
        raise RuntimeError(f"migrate failed: {carried.stderr[-2000:]}")
    answers = [answer for senders in live for answer in senders.end()]
    until("all is settled", lambda: settled(a) and settled(b), DRAIN_S, 1)
    drained = time.monotonic() - begun
    expected = stored | {key(each.event) for each in answers if each.status == 200}
    report(bench, carried, took, drained, answers)
    judge(bench, segment, before, stored, expected)
    for each in (a, b):
        each.end()
    servers.end()
    segment.process.end()


def key(event):
    kind, n = event
    return f"{kind}-{n}"


def fill(bench, segment, records):
    """An old server that has sent half of its records, and is stopped."""
    name = "old"
    old = Node(
        bench.fresh(name), bench.args.postmeter, name, "", WORKSPACE + connection("acme-segment", segment.url)
    )
    numbers = ((name, n) for n in range(records))
    half = records // 2
    begun = time.monotonic()
    answers = send(old, itertools.islice(numbers, half))
    until("half is settled", lambda: settled(old), DRAIN_S, 1)
    segment.refuse(True)
    answers += send(old, numbers)
    rate = records / (time.monotonic() - begun)
    document = subprocess.run(
        old.command("export"), capture_output=True, text=True, check=True, env=environment()
    ).stdout
    old.end()
    segment.refuse(False)
    stored = {key(each.event) for each in answers if each.status == 200}
    calls = segment.stats()
    bench.say(f"The old server, one process with a journal of its own: {len(stored)} records,")
    bench.say(f"filled at {rate:.0f}/s by Python; its stand-in's counts when it stopped:")
    bench.say(f"`{json.dumps(calls)}`.")
    bench.say()
    return old, document, stored


def send(node, events):
    return Senders(node, events, EVENT_BYTES, 48, insist=True).start().join()


def report(bench, carried, took, drained, answers):
    said = json.loads(carried.stdout)
    statuses = Counter(answer.status for answer in answers)
    bench.say(f"`migrate` said `{json.dumps(said)}`; the command took {took:.1f} s,")
    bench.say(f"{said['records'] / took:.0f} records/s; all was settled {drained:.1f} s after its start.")
    bench.say(f"Live events meanwhile, by answer: {dict(statuses)}.")
    bench.say()


def judge(bench, segment, before, stored, expected):
    calls = segment.calls()
    ids = Counter(message for message, _ in calls)
    events = Counter(delivery for _, delivery in calls)
    after = segment.stats()
    n_again = sum(1 for each in ids.values() if each > 1)
    bench.table(
        ["of the events", "number"],
        [
            ["acknowledged, by the old server or by a node", str(len(expected))],
            ["of these, by the old server", str(len(stored))],
            ["stored by the stand-in", str(len(calls))],
            ["acknowledged and missing", str(len(expected - set(events)))],
            ["stored and never acknowledged", str(len(set(events) - expected))],
            ["stored under two message ids", str(sum(n > 1 for n in events.values()))],
            ["message ids stored twice", str(n_again)],
            ["calls sent again and dropped, before", str(before["duplicates"])],
            ["calls sent again and dropped, after", str(after["duplicates"])],
        ],
    )

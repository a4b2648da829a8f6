"""Starts what is measured: three NATS servers, Postmeter nodes, a stand-in.

Everything runs on loopback, in folders under one temporary directory, and is
ended by its process id. It knows nothing of load or of results.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
import urllib.request
from pathlib import Path

SIGNING_KEY = "0123456789abcdef0123456789abcdef"
WRITE_KEY = "abcdefghijklmnopqrstuvwxyz012345"
WORKSPACE = '[[workspace]]\nname = "acme"\nsigning_keys = ["env:CIO_SIGNING_KEY"]\n'
PATIENCE_S = 60
TICKS = os.sysconf("SC_CLK_TCK")

_EXPORT = (
    '{ service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream, accounts: [APP] }'
)
_IMPORT = (
    '{ service: { account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ" }, to: "pm.jsz" }'
)


def options(description):
    """A parser of a benchmark's options, of which the program is the first."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--postmeter", required=True)
    return parser


def conduct(run, args):
    """Runs a benchmark in a folder of its own, and ends whatever it has started."""
    program = str(Path(args.postmeter).resolve())
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(Path(folder), program, args)
        finally:
            Process.kill_all()


def connection(name, endpoint, more=""):
    """A connection of the workspace, as a connections document has it."""
    return f"""
[[connection]]
name = "{name}"
workspace = "acme"
write_key = "env:SEGMENT_WRITE_KEY"
endpoint = "{endpoint}"
{more}
"""


def until(what, probe, patience_s=PATIENCE_S, pause_s=0.1):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + patience_s
    while True:
        try:
            answer = probe()
        except OSError:
            answer = None
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience_s} s in vain: {what}")
        time.sleep(pause_s)


def get(url, token=None, data=None, method=None):
    """The body of an answer, as text."""
    request = urllib.request.Request(url, data=data, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return answer.read().decode()


def free_ports(n):
    """Ports that nobody listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def nats_server():
    """The program from the wheel, else from the path."""
    wheel = Path(sysconfig.get_path("scripts")) / "nats-server"
    return str(wheel) if wheel.exists() else shutil.which("nats-server")


class Process:
    """A process with its output in files, ended at the latest by `kill_all`."""

    started = []

    def __init__(self, name, args, folder, env=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.args = name, args
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        env = {**os.environ, "RUST_LOG": "warn", **(env or {})}
        with open(self.out, "w") as out, open(self.err, "a") as err:
            self.child = subprocess.Popen(
                args, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env
            )
        self.pid = self.child.pid
        Process.started.append(self)

    def line(self, head):
        """The rest of the first line on stdout that begins so."""

        def find():
            if self.child.poll() is not None:
                said = self.err.read_text()[-2000:]
                raise RuntimeError(f"{self.name} ended: {said}")
            lines = self.out.read_text().splitlines()
            found = [line for line in lines if line.startswith(head)]
            return found[0].removeprefix(head).strip() if found else None

        return until(f"{self.name} says {head!r}", find, pause_s=0.05)

    def end(self):
        """SIGTERM, and SIGKILL for one who does not go."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        """SIGKILL."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    @staticmethod
    def kill_all():
        """Those that are left, whatever went wrong."""
        for each in Process.started:
            each.kill()


class Servers:
    """Three NATS servers with one cluster of streams."""

    def __init__(self, folder, program, sync="always"):
        self.folder, self.program, self.sync = folder, program, sync
        ports = free_ports(9)
        self.client, self.route, self.monitor = ports[:3], ports[3:6], ports[6:]
        self.each = [self._start(index) for index in range(3)]
        self.wait_ready()

    def _start(self, index):
        config = self.folder / f"n{index}.conf"
        self.folder.mkdir(parents=True, exist_ok=True)
        config.write_text(self._config(index))
        args = [self.program, "-c", str(config)]
        return Process(f"n{index}", args, self.folder)

    def _config(self, index):
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.route)
        users = "users: [{ user: %s, password: secret }]"
        return f"""
server_name: n{index}
listen: "127.0.0.1:{self.client[index]}"
http: "127.0.0.1:{self.monitor[index]}"
max_payload: 1MB
jetstream {{
  store_dir: "{self.folder / f"store{index}"}"
  max_mem: 256MB
  max_file: 40GB
  sync_interval: {self.sync}
}}
cluster {{
  name: pm
  listen: "127.0.0.1:{self.route[index]}"
  no_advertise: true
  routes: [{routes}]
}}
accounts {{
  SYS {{ {users % "system"}, exports: [{_EXPORT}] }}
  APP {{ jetstream: enabled, {users % "postmeter"}, imports: [{_IMPORT}] }}
}}
system_account: SYS
"""

    def urls(self):
        return [f"nats://127.0.0.1:{port}" for port in self.client]

    def report(self, index, query=""):
        return json.loads(get(f"http://127.0.0.1:{self.monitor[index]}/jsz{query}"))

    def wait_ready(self):
        """Until every server is healthy and knows who leads."""
        for index in range(3):
            url = f"http://127.0.0.1:{self.monitor[index]}/healthz"
            until(f"server {index} is healthy", lambda url=url: get(url))
            until(
                f"server {index} knows a leader",
                lambda at=index: self.report(at)["meta_cluster"].get("leader"),
            )

    def leader(self, stream):
        """The index of the server that leads a stream."""

        def ask():
            for index in range(3):
                if self.each[index].child.poll() is not None:
                    continue
                report = self.report(index, "?accounts=true&streams=true")
                for account in report.get("account_details", []):
                    for detail in account.get("stream_detail", []):
                        leader = detail.get("cluster", {}).get("leader")
                        if detail["name"] == stream and leader:
                            return leader
            return None

        return int(until(f"somebody leads {stream}", ask).removeprefix("n"))

    def kill(self, index):
        self.each[index].kill()

    def restart(self, index):
        self.each[index] = self._start(index)
        self.wait_ready()

    def end(self):
        for each in self.each:
            each.end()


class Node:
    """`postmeter serve`, on the servers, or with a journal of its own."""

    def __init__(self, folder, program, name, journal, connections=WORKSPACE):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.program, self.name = folder, program, name
        (folder / "password").write_text("secret")
        self.config = folder / "postmeter.toml"
        self.config.write_text(
            '[receive]\nlisten = "127.0.0.1:0"\n[console]\nlisten = "127.0.0.1:0"\n'
            f'[journal]\ndir = "{folder / "journal"}"\n{journal}\n'
        )
        applied = folder / "connections.toml"
        applied.write_text(connections)
        args = [program, "serve", "--config", str(self.config)]
        args += ["--connections", str(applied)]
        self.process = Process(name, args, folder, environment())
        receive = self.process.line("receiving on http://").split("/")[0]
        self.receive = (receive.split(":")[0], int(receive.split(":")[1]))
        self.console = self.process.line("console on http://").strip("/")
        until(f"{name} is ready", lambda: get(f"http://{self.console}/readyz"))

    @staticmethod
    def on(servers, folder, program, name, more="", connections=WORKSPACE):
        """A node on a cluster."""
        journal = (
            f'engine = "jetstream"\nservers = {json.dumps(servers.urls())}\n'
            f'user = "postmeter"\npassword = "file:{folder / "password"}"\n'
            f'node_name = "{name}"\n{more}'
        )
        return Node(folder, program, name, journal, connections)

    def token(self):
        return (self.folder / "journal" / "token").read_text().strip()

    def api(self, path):
        return json.loads(get(f"http://{self.console}{path}", self.token()))

    def command(self, *args):
        """A command of the program, with what it needs to find this node."""
        more = ["--config", str(self.config), "--server", self.console]
        return [self.program, *args, *more]

    def gauge(self, name):
        """The sum of a gauge over its labels."""
        lines = get(f"http://{self.console}/metrics", self.token()).splitlines()
        values = [line.split()[-1] for line in lines if line.startswith(name)]
        return sum(float(value) for value in values)

    def index_lag(self):
        """Records that are stored and not yet indexed."""
        last = self.gauge("postmeter_journal_last_record")
        return last - self.gauge("postmeter_journal_indexed_record")

    def end(self):
        self.process.end()


def environment():
    """What commands and nodes find their secrets in."""
    return {"CIO_SIGNING_KEY": SIGNING_KEY, "SEGMENT_WRITE_KEY": WRITE_KEY}


def cpu_of(pids):
    """Seconds of processor time that processes have used so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def cpu_of_machine():
    """Seconds of processor time that the whole machine has used so far."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS

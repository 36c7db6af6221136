"""What the measuring scripts share: the release binaries, a fresh instance served on loopback, wrk, and what the
hypervisor took meanwhile. Ends only the processes that it started."""

import argparse
import concurrent.futures
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONNECTIONS = (1, 16, 64)
#: A secret, as load.lua creates them.
BODY = {"name": "bench", "values": {"STRIPE_API_KEY": "sk_test_0123456789abcdef0123456789abcdef"},
        "service_slug": "stripe"}

#: What is measured is on this machine, whatever proxy leads off it.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def target_directory(place=ROOT):
    """Where cargo builds."""
    told = subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=place)
    return json.loads(told)["target_directory"]


def build():
    """The release binaries `strongroom` and `floor`. STRONGROOM_BINARY names another for the first, as ./release makes."""
    named = os.environ.get("STRONGROOM_BINARY")
    if named is not None and not os.access(named, os.X_OK):
        sys.exit(f"error: STRONGROOM_BINARY is {named!r}, which is no program")
    packages = ["-p", "strongroom-bench", *([] if named else ["-p", "strongroom-cli"])]
    subprocess.run(["cargo", "build", "--release", "--quiet", "--locked", *packages], cwd=ROOT, check=True)
    release = os.path.join(target_directory(), "release")
    strongroom = os.path.abspath(named) if named else os.path.join(release, "strongroom")
    print(f"measuring {strongroom}", file=sys.stderr)
    return strongroom, os.path.join(release, "floor")


def authority(place, name, hosts):
    """A certificate authority, and a certificate of it for these hosts."""
    def openssl(*words, **more):
        subprocess.run(["openssl", *words], cwd=place, check=True, stderr=subprocess.DEVNULL, **more)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", f"{name}-ca.key", "-out", f"{name}-ca.pem", "-days", "2", "-subj", f"/CN={name}",
            "-addext", "keyUsage=keyCertSign,cRLSign")
    openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    with open(os.path.join(place, f"{name}.ext"), "w") as extensions:
        extensions.write("subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts))
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{name}-ca.pem", "-CAkey", f"{name}-ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")
    return [os.path.join(place, name + end) for end in ("-ca.pem", "-ca.key", ".pem", ".key")]


def scratch():
    """A directory for as long as a `with` block lasts, on the checkout's disk, not in a memory file system."""
    return tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-")


class Server:
    """A child that prints `listening on URL`; ended on the way out."""

    def __init__(self, *command):
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


class Share:
    """So much of one processor and no more, for processes that would have it on a machine of their own. Needs root."""
    #: In microseconds: short, or what is over too early is waited for long.
    PERIOD = 10_000

    def __init__(self, part):
        quota, name = int(self.PERIOD * part), f"strongroom-bench-{os.getpid()}-{id(self)}"
        # The first version of control groups has a tree for each kind of thing.
        first = os.path.isdir("/sys/fs/cgroup/cpu")
        self.group = os.path.join("/sys/fs/cgroup", *(["cpu"] if first else []), name)
        bounds = {"cpu.cfs_period_us": self.PERIOD, "cpu.cfs_quota_us": quota} if first else {"cpu.max": f"{quota} {self.PERIOD}"}
        try:
            os.mkdir(self.group)
            for file, bound in bounds.items():
                self.write(file, bound)
        except OSError as error:
            if os.path.isdir(self.group):
                os.rmdir(self.group)
            sys.exit(f"error: processors can't be shared out: {error}\nhint: run it as root, where control groups may be made")

    def write(self, file, text):
        with open(os.path.join(self.group, file), "w") as out:
            out.write(str(text))

    def take(self, server):
        """Has the server in it, until the end."""
        self.write("cgroup.procs", server.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with open(os.path.join(self.group, "cgroup.procs")) as inside:
            for process in inside.read().split():
                self.write("../cgroup.procs", process)
        os.rmdir(self.group)


def init(strongroom, place, name="data", *more):
    """A fresh instance there: its data directory, and what `init` tells of it."""
    data, recovery = os.path.join(place, name), os.path.join(place, name + ".key")
    return data, json.loads(subprocess.check_output(
        [strongroom, "init", "--json", "--data-dir", data, "--recovery-key-file", recovery, *more]))


def serve(strongroom, data, *more):
    return Server(strongroom, "serve", "--data-dir", data, "--listen", "127.0.0.1:0", "--rate-limit", "0", *more)


def serve_postgres(strongroom, data, url):
    return Server(strongroom, "serve", "--data-dir", data, "--database-url", url, "--listen", "127.0.0.1:0",
                  "--rate-limit", "0")


def start_ms(strongroom, options, times=15):
    """Milliseconds from exec to the first answered request, of so many starts."""
    found = []
    for _ in range(times):
        with Server(strongroom, "serve", *options, "--listen", "127.0.0.1:0") as server:
            host, port = server.url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n")
                answer = connection.recv(4096)
            found.append((time.monotonic() - server.started) * 1000)
            if not answer.startswith(b"HTTP/1.1 200"):
                sys.exit("error: the first request was not answered with 200")
    return found


def request(url, token=None, body=None, method=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = json.dumps(body).encode() if body is not None else None
    with DIRECT.open(urllib.request.Request(url, data, headers, method=method)) as answer:
        return json.loads(answer.read() or "null")


def agent_with(url, team, key, secret, name="bench"):
    """The id of a new agent, whose only revision has this secret attached."""
    agent = request(f"{url}/v2/teams/{team}/agents", key, {"name": name})["agent"]["id"]
    revision = request(f"{url}/v2/agents/{agent}/revisions", key, {"name": "first"})["build"]["id"]
    request(f"{url}/v2/agents/{agent}/revisions/{revision}/credentials", key, {"credentialId": secret})
    return agent


def written(place, name, lines):
    """A file with these lines."""
    file = os.path.join(place, name)
    with open(file, "w") as out:
        out.write("\n".join(lines))
    return file


def wrk(url, what, connections, seconds, token=None, lines=None):
    """One round of load.lua; lines is the file that it reads for some loads. Ends everything when a request failed."""
    environment = dict(os.environ, STRONGROOM_BENCH_TOKEN=token) if token else os.environ
    threads = min(connections, 2)
    of_lines = [lines, str(threads)] if lines else []
    output = subprocess.check_output(
        ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}", "--timeout", "10", "-s",
         os.path.join(ROOT, "bench", "load.lua"), url, "--", what, *of_lines], text=True, env=environment)
    figures = json.loads(output.strip().splitlines()[-1])
    if not figures["requests"]:
        sys.exit(f"error: no request to {url} was answered")
    if figures["failed"]:
        sys.exit(f"error: {figures['failed']} of {figures['requests']} requests to {url} failed")
    figures["per_second"] = figures["requests"] / figures["seconds"]
    return figures


def together(servers, what, connections, seconds, token=None, lines=None):
    """One round of load on several servers at once: what they did in all."""
    each = connections // len(servers)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        rounds = list(pool.map(
            lambda server: wrk(server.url + "/v1/credentials", what, each, seconds, token, lines), servers))
    return {"per_second": sum(found["per_second"] for found in rounds),
            "p50_us": statistics.mean(found["p50_us"] for found in rounds),
            "p99_us": max(found["p99_us"] for found in rounds)}


def medians(rounds):
    return {key: statistics.median(figures[key] for figures in rounds) for key in ("per_second", "p50_us", "p99_us")}


def stolen():
    """CPU time that the hypervisor gave to others, and all of it, since boot."""
    with open("/proc/stat") as stat:
        ticks = [int(tick) for tick in stat.readline().split()[1:9]]
    return ticks[7], sum(ticks)


def steal_percent(before, after):
    return 100 * (after[0] - before[0]) / max(1, after[1] - before[1])


def options(description):
    """The options that every measuring script has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="of load for each figure and round (default 4)")
    parser.add_argument("--rounds", type=int, default=3, help="whose median is printed (default 3)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    return parser


def need_wrk():
    if not shutil.which("wrk"):
        sys.exit("error: wrk is missing\nhint: apt-get install wrk")


def table(by_connections, rows, beside):
    """Each row is a load and the one that it is measured beside, or None."""
    print(f"{'connections':>11} {'what':<10} {'per second':>11} {'p50 µs':>9} {'p99 µs':>9}   of {beside}")
    for connections, figures in by_connections.items():
        for name, floor in rows:
            row = figures[name]
            ratio = f"{row['per_second'] / figures[floor]['per_second']:.2f}" if floor else ""
            print(f"{connections:>11} {name:<10} {row['per_second']:>11,.0f} {row['p50_us']:>9,.0f} "
                  f"{row['p99_us']:>9,.0f}   {ratio}")


def target(what, figure, holds, bound):
    """Prints a figure beside its target; whether it was missed."""
    print(f"{what}: {figure}   (target: {bound}{'' if holds else ', MISSED'})")
    return not holds

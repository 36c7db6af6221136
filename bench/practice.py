#!/usr/bin/env python3
"""Puts a binary through what it does most in use: the API on both engines, and the broker. What it counts of itself
meanwhile tells the compiler what is done often (see ../release). Measures nothing.

Usage: bench/practice.py STRONGROOM [--seconds N]

Needs wrk, PostgreSQL, nginx, curl and openssl (apt-get install wrk postgresql nginx curl openssl), and a machine that nobody else is
on: its PostgreSQL believes whoever connects from there. Variables named STRONGROOM_* are as if they weren't set.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from cluster import Cluster, server_programs
from rig import BODY, agent_with, authority, init, request, scratch, serve, serve_postgres, wrk, written

#: The programs that it needs, and the Debian packages that have them.
NEEDED = {"wrk": "wrk", "nginx": "nginx", "curl": "curl", "openssl": "openssl"}
#: The programs of servers aren't on everybody's path.
PATH = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
#: Runs that fetch what they receive, by turns.
RUNS = 16
#: How much longer than of the rest. A request through the broker takes several times as long as one of the API; with as many
#: only as there are in as much time, what it does would be laid out as what is seldom done.
BROKERED = 6
#: Who asks through the broker at once.
ASKERS = 8

NGINX = """
daemon off; pid "{place}/nginx.pid"; error_log "{place}/error.log"; {user}
events {{}}
http {{
    access_log off; keepalive_requests 1000000; gzip on; gzip_types application/json; types {{ application/json json; }}
    client_body_temp_path "{place}/b"; proxy_temp_path "{place}/p"; fastcgi_temp_path "{place}/f"; uwsgi_temp_path "{place}/u";
    scgi_temp_path "{place}/s";
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate "{certificate}"; ssl_certificate_key "{key}"; root "{place}/pages";
        error_page 405 =200 $uri;
    }}
}}
"""


def ask_api(server, made, place, seconds):
    """Creates, reads and changes secrets, and starts runs that fetch what they receive."""
    credentials, team, key = server.url + "/v1/credentials", made["team_id"], made["api_key"]
    secret = request(credentials, key, BODY)["id"]
    for connections in (1, 16, 64):
        for what, url in (("create", credentials), ("get", f"{credentials}/{secret}"), ("get", credentials + "?limit=50")):
            wrk(url, what, connections, seconds, key)
    ids = [secret["id"] for secret in request(credentials + "?limit=1000", key)]
    wrk(credentials, "patch", 16, seconds, key, written(place, "ids", ids))
    agent = agent_with(server.url, team, key, secret)
    runs = [request(f"{server.url}/v2/teams/{team}/runs", key, {"agent_id": agent})["token"] for _ in range(RUNS)]
    wrk(server.url + "/v2/run/environment", "tokens", RUNS, seconds, None, written(place, "tokens", runs))


class Host:
    """A host with a certificate, from an authority of its own, that has something small, and something large."""

    def __init__(self, place):
        self.ca, _, certificate, key = authority(place, "host", ["localhost"])
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        pages = os.path.join(place, "pages")
        os.mkdir(pages)
        for name, text in (("small.json", json.dumps({"id": "x" * 200})), ("large", "x" * 1_000_000)):
            with open(os.path.join(pages, name), "w") as out:
                out.write(text)
        self.configuration, self.errors = os.path.join(place, "nginx.conf"), os.path.join(place, "error.log")
        # Who is root has directories in which nobody else may look.
        user = "user root;" if os.getuid() == 0 else ""
        with open(self.configuration, "w") as out:
            out.write(NGINX.format(place=place, port=self.port, certificate=certificate, key=key, user=user))

    def __enter__(self):
        self.process = subprocess.Popen([shutil.which("nginx", path=PATH), "-e", self.errors, "-c", self.configuration])
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.__exit__()
        sys.exit("error: nginx did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)


def ask_broker(server, made, host, place, seconds):
    """A run's requests through the broker: kept tunnels and new ones, by both versions of HTTP, with and without a body, and streams."""
    api, team, key = server.url, made["team_id"], made["api_key"]
    secret = request(f"{api}/v1/credentials", key, {**BODY, "shared": True})["id"]
    agent = agent_with(api, team, key, secret)
    rule = {"host": "localhost", "port": host.port, "placement": {"header": "authorization", "scheme": "Bearer"}, "allow_private": True}
    request(f"{api}/v2/credentials/{secret}/policy", key, {"rules": [rule], "broker_only": True}, "PUT")
    run = request(f"{api}/v2/teams/{team}/runs", key, {"agent_id": agent, "mode": "broker"})
    [placeholder] = request(f"{api}/v2/run/environment", run["token"])["environment"].values()
    ca = written(place, "broker.pem", [run["broker_ca"]])
    # Neither what the user's own curl is set to, nor who needn't go through a proxy.
    common = ["curl", "--disable", "--noproxy", "", "--silent", "--show-error", "--fail", "--fail-early", "--cacert", ca, "--proxy",
              run["broker_url"], "--proxy-user", "run:" + run["broker_token"], "--header", "Authorization: Bearer " + placeholder,
              "--output", "/dev/null", "--write-out", "%{stderr}%{http_code} by HTTP/%{http_version}\n"]
    small, large = f"https://localhost:{host.port}/small.json", f"https://localhost:{host.port}/large"
    for more, url, version in ((["--http1.1"], small, "1.1"), (["--http2"], small, "2"), (["--http1.1", "--compressed"], small, "1.1"),
                               (["--http1.1", "--data", "a=b"], small, "1.1"),
                               (["--http1.1", "--header", "Connection: close"], small, "1.1"), (["--http1.1"], large, "1.1"),
                               (["--http2"], large, "2")):
        # A stream goes through the same few lines all the time.
        lasts = seconds if url == large else BROKERED * seconds
        said = ask_at_once([*common, *more, f"{url}?[1-1000000]"], place, lasts)
        if set(said) != {f"200 by HTTP/{version}"}:
            sys.exit(f"error: {' '.join(more)} {url} through the broker: {' '.join(sorted(set(said))) or 'no answer'}")


def ask_at_once(command, place, seconds):
    """The lines that so many of a command say in so many seconds. A file each: they write line by line, and bit by bit."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(os.path.join(place, f"said-{at}"), "w+")) for at in range(ASKERS)]
        askers = []
        try:
            for file in files:
                askers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file))
            time.sleep(seconds)
        finally:
            for asker in askers:
                asker.kill()
                asker.wait()
        for file in files:
            file.seek(0)
        # The last may have been cut off.
        return [line for file in files for line in file.read().split("\n")[:-1]]


def end_as_asked():
    """Has a request to end take down what was started, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def look_for_programs():
    """Exits with a remedy where a program is missing."""
    for program, package in NEEDED.items():
        if not shutil.which(program, path=PATH):
            sys.exit(f"error: {program} is missing\nhint: apt-get install {package}")
    server_programs()


def ended_well(server):
    """A server that ends otherwise hasn't written what it counted."""
    if server.process.returncode:
        sys.exit(f"error: the server ended with {server.process.returncode}")


def practise(strongroom, seconds):
    """All of it, each for so many seconds."""
    for name in [name for name in os.environ if name.startswith("STRONGROOM_")]:
        del os.environ[name]
    with scratch() as place, Host(place) as host:
        data, made = init(strongroom, place)
        with serve(strongroom, data, "--broker-trust", host.ca, "--broker-max-requests", "1000000000", "--broker-max-bytes",
                   "1000000000000") as server:
            ask_broker(server, made, host, place, seconds)
            ask_api(server, made, place, seconds)
        ended_well(server)
    with scratch() as place, Cluster(place) as cluster:
        cluster.query("postgres", "CREATE DATABASE strongroom")
        url = cluster.url("strongroom")
        data, made = init(strongroom, place, "data", "--database-url", url)
        with serve_postgres(strongroom, data, url) as server:
            ask_api(server, made, place, seconds)
        ended_well(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strongroom", metavar="STRONGROOM", help="the binary")
    parser.add_argument("--seconds", type=int, default=1, help="of each load (default 1)")
    arguments = parser.parse_args()
    end_as_asked()
    look_for_programs()
    practise(arguments.strongroom, arguments.seconds)


if __name__ == "__main__":
    main()

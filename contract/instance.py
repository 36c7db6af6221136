"""A fresh instance of the server for as long as a `with` block lasts, and the
plainest of clients. Ends only the process that it started."""

import glob
import http.client
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

#: The longest that the server may take to start, to answer or to end.
PATIENCE_SECONDS = 30


class Instance:
    """`init`, then `serve` on free ports of the loopback, with these options beside its own."""

    def __init__(self, *options):
        self._options = options
        self._env = {"PATH": os.defpath}

    def __enter__(self):
        self._place = tempfile.TemporaryDirectory(prefix="strongroom-contract-")
        try:
            self._start(Path(self._place.name))
        except BaseException:
            self._place.cleanup()
            raise
        return self

    def _start(self, place):
        data = ["--data-dir", place / "data"]
        made = self.command("init", "--json", *data, "--recovery-key-file", place / "recovery.key")
        made = json.loads(subprocess.run(made, **self._clean(), check=True, capture_output=True).stdout)
        self.key, self.team, self.user = made["api_key"], made["team_id"], made["user_id"]
        # A limit on requests would end every run after its first second.
        serve = self.command(
            "serve", *data, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--rate-limit", "0",
            *self._options,
        )  # fmt: skip
        self.log = place / "stderr"
        with self.log.open("w") as log:
            there = self.around(serve)
            self._server = subprocess.Popen(there, **self._clean(), stdout=subprocess.PIPE, stderr=log, text=True)
        line = self._server.stdout.readline()
        if "listening on http" not in line:
            self._stop()
            raise RuntimeError(f"no server: {line!r} {self.log.read_text()}")
        self.url = line[line.index("http") :].strip()
        # Told in the log, before the line above.
        self._metrics = re.search(r"metrics\.listening\b.*address=(\S+)", self.log.read_text())[1]

    @property
    def place(self):
        """The directory in which everything of the instance lies."""
        return Path(self._place.name)

    @staticmethod
    def command(*arguments):
        """The program with these arguments."""
        binary = os.environ.get("STRONGROOM_BINARY", Path(__file__).parent.parent / "target/debug/strongroom")
        return [Path(binary).resolve(), *arguments]

    def around(self, command):
        """The command as it is run where the server is to be."""
        return command

    def _clean(self):
        # None of the variables of whoever runs the tests configures it.
        return {"cwd": self._place.name, "env": self._env, "stdin": subprocess.DEVNULL}

    def _stop(self):
        self._server.terminate()
        try:
            self._server.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server.stdout.close()

    def __exit__(self, *_):
        self._stop()
        self._place.cleanup()

    def call(self, method, path, body=None, key=None):
        """One request, with the instance's first key unless another is given; its answer's status and JSON."""
        return call(self.url, method, path, key or self.key, body)

    def setup_link(self, email="owner@localhost", url=None):
        """A link by which somebody sets up how they sign in."""
        data = ["--data-dir", self.place / "data", "--public-url", url or self.url]
        made = self.command("setup-link", *data, "--email", email)
        return subprocess.run(made, **self._clean(), check=True, capture_output=True, text=True).stdout.strip()

    def answers(self):
        """How many answers the server counted, by class of status."""
        connection = http.client.HTTPConnection(self._metrics, timeout=PATIENCE_SECONDS)
        connection.request("GET", "/metrics")
        counts = {}
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith("strongroom_answers_total{"):
                labels, count = line.rsplit(" ", 1)
                counts[labels.split('"')[1]] = int(count)
        connection.close()
        return counts


class Later(Instance):
    """An instance whose clock can be put forward. What the browser's says stays as it is, and so does
    how long things take."""

    def _start(self, place):
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not found:
            raise RuntimeError("there is no libfaketime; install it: apt-get install faketime")
        self._clock = place / "clock"
        self.put_forward()
        self._env |= {
            "LD_PRELOAD": found[0],
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        super()._start(place)

    def put_forward(self, days=0, minutes=0):
        """Has it be so much later than it is, whatever it was before."""
        new = self._clock.with_suffix(".new")
        new.write_text(f"+{days * 24 * 60 + minutes}m\n")
        # At once: the server may read it at any moment.
        new.replace(self._clock)


def call(url, method, path, key, body=None):
    """One request to the server there, its body a text or made one; its answer's status and JSON."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_SECONDS)
    headers = {"Authorization": f"Bearer {key}"}
    if body is not None:
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
        headers["Content-Type"] = "application/json"
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    status, content = answer.status, json.loads(answer.read())
    connection.close()
    return status, content

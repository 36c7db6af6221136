"""A fresh OpenBao server for as long as a `with` block lasts: raft storage and a file audit device in a directory of
its own, loopback without TLS, one secret of KV v2. Ends only the process that it started."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error

from rig import ROOT, request

#: The longest that the server may take to start, to unseal or to end.
PATIENCE_SECONDS = 30
SECRET = "secret/data/bench"


def program():
    """The real server, of exactly the pinned wheel: installed once, where `./test` keeps its tools."""
    requirements = os.path.join(ROOT, "bench", "requirements.txt")
    python = shutil.which("python3")
    key = subprocess.check_output([python, "-VV"]) + python.encode() + b"\n"
    with open(requirements, "rb") as file:
        key = hashlib.sha256(key + file.read()).hexdigest()[:16]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    place = os.path.join(cache, "strongroom", "tools", f"python-{key}")
    complete = os.path.join(place, "complete")
    if not os.path.exists(complete):
        print(f"== installing {requirements} (once)", file=sys.stderr)
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([python, "-m", "venv", place], check=True)
        subprocess.run([os.path.join(place, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check",
                        "--require-hashes", "--only-binary", ":all:", "-r", requirements], check=True)
        open(complete, "w").close()
    return os.path.join(place, "bin", "bao")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(attempt):
    """What attempt returns once it is neither refused nor answered with an error."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return attempt()
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


class OpenBao:
    """`bao server`, initialised and unsealed. Each of its `tokens` may read `SECRET`, and do nothing else."""

    def __init__(self, place, values, tokens):
        self.url = f"http://127.0.0.1:{free_port()}"
        self._audit, self._root = os.path.join(place, "audit.log"), None
        os.makedirs(os.path.join(place, "raft"))
        command = [program(), "server", "-config", self._configuration(place)]
        with open(os.path.join(place, "stderr"), "w+") as log:
            # None of the variables of whoever measures configures it.
            self._process = subprocess.Popen(command, cwd=place, env={"PATH": os.defpath}, stdout=log, stderr=log)
            try:
                self._unseal()
                self.tokens = self._fill(values, tokens)
            except BaseException:
                self.__exit__()
                log.seek(0)
                print(log.read(), file=sys.stderr)
                raise

    def _configuration(self, place):
        file, cluster = os.path.join(place, "configuration.hcl"), f"127.0.0.1:{free_port()}"
        with open(file, "w") as out:
            out.write(f"""
                storage "raft" {{
                    path = "{place}/raft"
                    node_id = "bench"
                }}
                listener "tcp" {{
                    address = "{self.url.removeprefix("http://")}"
                    cluster_address = "{cluster}"
                    tls_disable = true
                }}
                audit "file" "file" {{
                    options {{ file_path = "{self._audit}" }}
                }}
                api_addr = "{self.url}"
                cluster_addr = "http://{cluster}"
                log_level = "warn"
            """)
        return file

    def _unseal(self):
        made = eventually(lambda: self._ask("sys/init", {"secret_shares": 1, "secret_threshold": 1}))
        self._root = made["root_token"]
        self._ask("sys/unseal", {"key": made["keys"][0]})
        eventually(lambda: self._ask("sys/health"))

    def _fill(self, values, tokens):
        self._ask("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        eventually(lambda: self._ask(SECRET, {"data": values}))
        self._ask("sys/policies/acl/bench", {"policy": f'path "{SECRET}" {{ capabilities = ["read"] }}'})
        allowed = {"policies": ["bench"], "no_default_policy": True}
        return [self._ask("auth/token/create", allowed)["auth"]["client_token"] for _ in range(tokens)]

    def _ask(self, path, body=None):
        return request(f"{self.url}/v1/{path}", self._root, body)

    def audited(self):
        """How many answers about the secret the audit device wrote."""
        with open(self._audit, "rb") as log:
            return sum(b'"type":"response"' in line and SECRET.encode() in line for line in log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_SECONDS)

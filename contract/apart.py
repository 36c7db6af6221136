"""An instance on a network apart, where the names of well-known services are ours. Needs no rights of
the machine's administrator, and leaves nothing behind: a namespace ends with its last process."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from instance import PATIENCE_SECONDS, Instance

#: An address that is public, as those of services are; on this network it is our own.
PUBLIC_ADDRESS = "93.184.215.14"
#: What is found there: services, and a broker of ours.
HOSTS = ["api.openai.com", "api.stripe.com", "api.github.com", "github.com", "echo.example.com", "grpc.example.com"]
BROKER = "broker.example.com"
#: Our server, on the loopback.
SERVER = "server.example.com"
#: Makes the network, says so, and keeps it until its input ends.
NETWORK = """
ip link set lo up
ip address add "$1/32" dev lo
mount --bind "$2" /etc/hosts
echo ready
exec cat
"""
#: Programs are looked for where the tests' own packages are, and where systems have them.
PATH = f"{Path(sys.executable).parent}:/usr/local/bin:{os.defpath}"


class Apart(Instance):
    """Its broker trusts the authority of the services that stand in for others there."""

    def _start(self, place):
        make_certificates(place)
        make_repository(place / "repositories/acme/tool.git")
        hosts = place / "hosts"
        theirs = "".join(f"{PUBLIC_ADDRESS} {host}\n" for host in [*HOSTS, BROKER])
        hosts.write_text(f"127.0.0.1 localhost {SERVER}\n{theirs}")
        unshare = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-ec", NETWORK, "sh", PUBLIC_ADDRESS, hosts]
        self._started = []
        self._network = self._until_ready(unshare, stdin=subprocess.PIPE)
        standin = [sys.executable, Path(__file__).parent / "standin.py", place]
        self._until_ready(self.around(standin))
        self._options = [*self._options, "--broker-trust", place / "authority.pem", *self._more(place)]
        try:
            super()._start(place)
        except BaseException:
            self._end()
            raise

    def _more(self, _):
        """More options of the server, which may need what lies in its place."""
        return []

    def _until_ready(self, command, **streams):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={"PATH": PATH}, text=True, **streams)
        self._started.append(process)
        line = process.stdout.readline()
        if line != "ready\n":
            self._end()
            raise RuntimeError("no network apart: it takes unshare, nsenter and ip, and users may have to be let")
        return process

    def around(self, command):
        into = ["--target", str(self._network.pid), "--user", "--mount", "--net", "--preserve-credentials"]
        return ["nsenter", *into, f"--wd={self.place}", "--", *command]

    def _end(self):
        for process in reversed(self._started):
            process.terminate()
            process.wait(PATIENCE_SECONDS)
            process.stdout.close()
            if process.stdin:
                process.stdin.close()

    def _stop(self):
        super()._stop()
        self._end()

    def inside(self, *command, **environment):
        """Runs a program on that network, and waits for it."""
        mine = {"PATH": PATH, "HOME": str(self.place), "STRONGROOM_URL": self.url, "STRONGROOM_API_KEY": self.key}
        return subprocess.run(
            self.around(command), env=mine | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=2 * PATIENCE_SECONDS, check=False,
        )  # fmt: skip

    def strongroom(self, *arguments):
        """What our own client says there, as JSON."""
        done = self.inside(*self.command(*arguments, "--json"))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def attach(self, agent, revision, secret):
        """Has runs of the agent receive a secret."""
        into = ["--agent", agent, "--revision", revision, "--secret", secret]
        self.strongroom("revision-secrets", "attach", *into)

    def agent(self):
        """Makes the agent; its id, and that of its revision."""
        agent = self.strongroom("agents", "create", "--name", "helper")["agent"]["id"]
        return agent, self.strongroom("revisions", "create", "--agent", agent, "--name", "first")["build"]["id"]

    def run(self, *command, **environment):
        """Runs a program in a brokered run of the agent."""
        return self.inside(*self.command("run", "--agent", "helper", "--broker", "--"), *command, **environment)

    def notes(self):
        """What the services noted since they were last asked."""
        notes = self.place / "notes"
        said = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
        notes.unlink(missing_ok=True)
        return said


class Abroad(Apart):
    """One that is reached inside TLS, and its broker as from another machine."""

    def _more(self, place):
        tls = ["--tls-cert", place / "leaf.pem", "--tls-key", place / "leaf.key"]
        return [*tls, "--broker-listen", f"{PUBLIC_ADDRESS}:8701", "--broker-url", f"https://{BROKER}:8701"]

    def _start(self, place):
        super()._start(place)
        self.url = f"https://{SERVER}:{self.url.rpartition(':')[2]}"

    def inside(self, *command, **environment):
        return super().inside(*command, SSL_CERT_FILE=str(self.place / "authority.pem"), **environment)


def make_certificates(place):
    """An authority, and a certificate of its for all hosts."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.DNSName(host) for host in [*HOSTS, BROKER, SERVER]]
    authority, name = named("test authority"), x509.SubjectAlternativeName(names)
    root = built(authority, authority, keys[0], now).add_extension(x509.BasicConstraints(True, None), critical=True)
    leaf = built(named("test"), authority, keys[1], now).add_extension(name, critical=False)
    for file, certificate in (("authority.pem", root), ("leaf.pem", leaf)):
        signed = certificate.sign(keys[0], hashes.SHA256())
        (place / file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (place / "leaf.key").touch(0o600)
    (place / "leaf.key").write_bytes(keys[1].private_bytes(*form))


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def built(subject, issuer, key, now):
    day = datetime.timedelta(days=1)
    begun = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return begun.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)


def make_repository(place):
    """A repository that can be had as files."""
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"]
    work = place.with_suffix(".work")
    for command in (
        [*git, "init", "--quiet", work],
        [*git, "-C", work, "commit", "--quiet", "--allow-empty", "--message", "the first"],
        [*git, "clone", "--quiet", "--bare", work, place],
        [*git, "-C", place, "update-server-info"],
    ):
        subprocess.run(command, check=True, env={"PATH": PATH, "HOME": str(place.parent)})

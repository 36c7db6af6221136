"""Who keeps root keys, as real as a test can have them: moto for AWS KMS, SoftHSM for a token, OpenBao for Transit.
Each ends only what it started."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3

from instance import PATIENCE_SECONDS

BIN = Path(sys.executable).parent
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def private(path, text):
    """A file of mode 0600."""
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


class Program:
    """A server on a free port of the loopback, until `stop`."""

    def __init__(self, place, name, command, env=None):
        place.mkdir(exist_ok=True)
        self.place, self.port = place, free_port()
        command = [str(word).replace("PORT", str(self.port)) for word in command]
        with (place / f"{name}.log").open("w") as log:
            # Of its own group: what it starts ends with it.
            self._process = subprocess.Popen(
                command, cwd=place, env={"PATH": os.defpath, "HOME": str(place)} | (env or {}),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        end = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"no {name}: {(place / f'{name}.log').read_text()}")
            time.sleep(0.05)

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Kms(Program):
    """AWS KMS, with keys in Frankfurt."""

    REGION = "eu-central-1"

    def __init__(self, place):
        super().__init__(place, "moto", [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "AWS_ENDPOINT_URL_KMS": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_REGION": self.REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.api = self.client("kms")

    def client(self, service):
        return boto3.client(
            service, endpoint_url=self.url, region_name=self.REGION, aws_access_key_id="a", aws_secret_access_key="b"
        )

    def who_may(self, *actions):
        """The environment of somebody who may do this, and nothing else."""
        name = f"somebody-who-may-{len(actions)}"
        iam = self.client("iam")
        iam.create_user(UserName=name)
        allowed = {"Effect": "Allow", "Action": [*actions, "sts:GetCallerIdentity"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return self.env | {
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        }  # fmt: skip

    def enforce(self):
        """From now on everybody needs permission."""
        # Said to be a form it would be taken for one.
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.url}/moto-api/reset-auth", data=b"0", headers=headers)
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()

    def key(self, alias=None):
        """The ARN of a new key."""
        made = self.api.create_key()["KeyMetadata"]["Arn"]
        if alias:
            self.api.create_alias(AliasName=alias, TargetKeyId=made)
        return made


class SoftHsm:
    """Tokens in a directory, and the PIN of their users."""

    PIN = "482915"

    def __init__(self, place):
        (place / "tokens").mkdir()
        conf = place / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {place}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.env = {"SOFTHSM2_CONF": str(conf)}
        self.pin = private(place / "pin", self.PIN)

    def token(self, label):
        made = f"softhsm2-util --init-token --free --label {label} --so-pin 73918264 --pin {self.PIN}"
        subprocess.run(made.split(), env={"PATH": os.defpath} | self.env, check=True, capture_output=True)
        return label


class Bao(Program):
    """OpenBao with TLS, unsealed, and everything in memory."""

    def __init__(self, place):
        command = [BIN / "bao", "server", "-dev", "-dev-tls", f"-dev-tls-cert-dir={place}", "-dev-no-store-token"]
        super().__init__(
            place, "bao", [*command, "-dev-root-token-id=sesame-open-up", "-dev-listen-address=127.0.0.1:PORT"]
        )
        self.url, self.ca = f"https://127.0.0.1:{self.port}", place / "authority.pem"
        # Its own copy goes when it ends.
        [made] = place.glob("*-ca.pem")
        self.ca.write_text(made.read_text())
        self.env = {"BAO_ADDR": self.url, "BAO_CACERT": str(self.ca), "BAO_TOKEN": "sesame-open-up"}
        self.bao("secrets enable transit")

    def bao(self, command, given=None):
        """What its own client says to a command."""
        done = subprocess.run(
            [BIN / "bao", *command.split()], env={"PATH": os.defpath, "HOME": str(self.place)} | self.env,
            input=given, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def policy(self, name, rules):
        """Lets those of this policy do something; rules are paths and what may be done there."""
        text = "\n".join(f'path "{path}" {{ capabilities = ["{what}"] }}' for path, what in rules.items())
        self.bao(f"policy write {name} -", given=text)
        return name

    def token(self, policy):
        """A file with a token of a policy."""
        path = self.place / f"{policy}.token"
        return private(path, self.bao(f"token create -policy={policy} -no-default-policy -field=token"))

    def app_role(self, policy):
        """The id of a role of a policy, and a file with a secret id of it."""
        self.bao("auth enable approle")
        self.bao(f"write auth/approle/role/{policy} token_policies={policy}")
        made = json.loads(self.bao(f"read -format=json auth/approle/role/{policy}/role-id"))
        secret = self.bao(f"write -f -field=secret_id auth/approle/role/{policy}/secret-id")
        return made["data"]["role_id"], private(self.place / "secret-id", secret)


class Silent:
    """Takes connections, and says nothing."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        return self._listener.getsockname()[1]

    def __exit__(self, *_):
        self._listener.close()

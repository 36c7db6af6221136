"""The client test can fail: it passes with a small server that keeps to the
description, and fails with the same server once that has one fault."""

import json
import os
import re
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from client_test import generate

KEY = "key"
USER = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d"
TEAM = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7e"
ALL = r"/v1/credentials|/v2/teams/[^/]+/credentials"
ONE = r"/v[12]/credentials/([^/]+)"
ATTACHED = r"/v[12]/agents/([^/]+)/revisions/([^/]+)/credentials"
#: By which method of the stub each request is answered.
ROUTES = (
    ("GET", ALL, "list"), ("POST", ALL, "create"),
    ("GET", ONE, "get"), ("PATCH", ONE, "update"), ("DELETE", ONE, "delete"),
    ("GET", ATTACHED, "attached"), ("POST", ATTACHED, "attach"), ("DELETE", rf"{ATTACHED}/([^/]+)", "detach"),
    # What the client test needs beside the operations that it tests.
    ("POST", r"/v2/teams/[^/]+/agents", "create_agent"), ("POST", r"/v2/agents/([^/]+)/revisions", "create_revision"),
    ("POST", r"/v2/teams/[^/]+/members", "add_member"), ("POST", r"/v2/teams/[^/]+/api-keys", "create_key"),
    ("POST", r"/v2/teams", "create_team"), ("POST", r"/v2/key-links/claim", "claim_link"),
)  # fmt: skip
OF_REVISION = "agents/{agent}/revisions/{build}/credentials"
OFFERED = (
    *((method, path) for path in ("/v1/credentials", "/v2/teams/{team}/credentials") for method in ("get", "post")),
    *((method, f"/{version}/credentials/{{id}}") for version in ("v1", "v2") for method in ("get", "patch", "delete")),
    *((method, f"/{version}/{OF_REVISION}") for version in ("v1", "v2") for method in ("get", "post")),
    *(("delete", f"/{version}/{OF_REVISION}/{{id}}") for version in ("v1", "v2")),
)


def now():
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id():
    return str(uuid.uuid4())


class RefusedError(Exception):
    """A status that isn't a success, and its code."""


class Stub(BaseHTTPRequestHandler):
    """As much of a server as the client test needs. Keeps values in its secrets, and leaves them out of answers."""

    offers = OFFERED
    protocol_version = "HTTP/1.1"
    # Head and body go out at once: a client that waits to acknowledge the head costs 40 ms an answer.
    wbufsize = -1

    def answer(self):
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        status, content = self.decide(body)
        content = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def decide(self, body):
        try:
            return self.do(body)
        except RefusedError as refused:
            status, code = refused.args
            return status, {"error": code}

    def do(self, body):
        if self.path == "/openapi.json":
            return 200, self.server.description
        self.key = self.headers["authorization"].removeprefix("Bearer ")
        if self.key not in self.server.people:
            raise RefusedError(401, "invalid_token")
        self.caller = self.server.people[self.key]
        if body is not None and not sensible(body):
            raise RefusedError(400, "invalid_request")
        for method, path, name in ROUTES:
            if method == self.command and (found := re.fullmatch(path, self.path)):
                return getattr(self, name)(*found.groups(), *([body] if body is not None else []))
        raise RefusedError(404, "not_found")

    def list(self):
        return 200, [self.seen(secret) for secret in self.server.secrets.values() if self.sees(secret)]

    def create(self, body):
        secret = {
            "id": new_id(),
            "team_id": self.caller.team,
            "user_id": None if body.get("shared") else self.caller.user,
            "name": body["name"],
            "service_slug": body.get("service_slug"),
            "values": body["values"],
            "created_by": self.caller.user,
            "created_at": now(),
        }
        secret["updated_at"] = secret["created_at"]
        return 201, self.seen(self.server.secrets.setdefault(secret["id"], secret))

    def get(self, one):
        return 200, self.seen(self.secret(one))

    def update(self, one, body):
        self.change(self.secret(one), body)
        return self.get(one)

    def delete(self, one):
        self.secret(one)
        return 200, {"success": bool(self.server.secrets.pop(one))}

    def secret(self, one):
        secret = self.server.secrets.get(one)
        if not (secret and self.sees(secret)):
            raise RefusedError(404, "not_found")
        return secret

    def sees(self, secret):
        return secret["team_id"] == self.caller.team and secret["user_id"] in (None, self.caller.user)

    def change(self, secret, body):
        secret.update({name: body[name] for name in ("name", "service_slug", "values") if name in body})
        if "shared" in body:
            secret["user_id"] = None if body["shared"] else self.caller.user
        renamed, removed = body.get("rename_keys", {}), body.get("remove_keys", [])
        kept = {renamed.get(key, key): value for key, value in secret["values"].items() if key not in removed}
        secret.update(values=kept | body.get("add_values", {}), updated_at=now())

    def seen(self, secret):
        seen = {name: field for name, field in secret.items() if name != "values"}
        return seen | {"env_var_keys": list(secret["values"])}

    def attached(self, agent, build):
        secrets = (self.server.secrets.get(one) for one in self.revision(agent, build))
        return 200, [self.seen(secret) for secret in secrets if secret and self.sees(secret)]

    def attach(self, agent, build, body):
        attached, one = self.revision(agent, build), self.attachable(body["credentialId"])
        if one in attached:
            raise RefusedError(409, "conflict")
        attached.append(one)
        return 201, {"success": True}

    def detach(self, agent, build, one):
        attached = self.revision(agent, build)
        if self.attachable(one) not in attached:
            raise RefusedError(404, "not_found")
        attached.remove(one)
        return 200, {"success": True}

    def attachable(self, one):
        """A secret that the caller may attach and detach."""
        if self.secret(one)["user_id"] is None and not self.caller.builds:
            raise RefusedError(403, "forbidden")
        return one

    def revision(self, agent, build):
        """What is attached to a revision."""
        team, attached = self.server.revisions.get((agent, build), (None, None))
        if team != self.caller.team:
            raise RefusedError(404, "not_found")
        return attached

    def create_agent(self, _):
        return 201, {"agent": {"id": new_id()}}

    def create_revision(self, agent, _):
        build = new_id()
        self.server.revisions[agent, build] = (self.caller.team, [])
        return 201, {"build": {"id": build}}

    def add_member(self, _):
        return 201, {"member": {"id": new_id()}}

    def create_key(self, body):
        return 201, {"api_key": self.new_key(Person(body["service_user_id"], self.caller.team, builds=False))}

    def create_team(self, _):
        team = new_id()
        return 201, {"team": {"id": team}, "key_link": {"link": self.new_key(Person(self.caller.user, team))}}

    def claim_link(self):
        return 201, {"api_key": self.key}

    def new_key(self, person):
        key = new_id()
        self.server.people[key] = person
        return key


@dataclass
class Person:
    """As whom a key acts."""

    user: str
    team: str
    builds: bool = True


def sensible(body):
    edits = body.keys() & {"rename_keys", "remove_keys", "add_values"}
    return not ("values" in body and edits) and all(re.fullmatch("[A-Z_]+", key) for key in body.get("values", {}))


class DropsAField(Stub):
    def seen(self, secret):
        return {name: field for name, field in super().seen(secret).items() if name != "created_by"}


class AddsAField(Stub):
    def seen(self, secret):
        return super().seen(secret) | {"description": None}


class ReturnsValues(Stub):
    def seen(self, secret):
        return super().seen(secret) | {"env_var_keys": list(secret["values"].values())}


class EchoesAValueInAnError(Stub):
    def decide(self, body):
        status, content = super().decide(body)
        return status, content | {"message": str(body)} if status == 400 else content


class HasAnotherDate(Stub):
    def seen(self, secret):
        return super().seen(secret) | {"updated_at": secret["updated_at"].replace("T", " ")}


class HasAnotherStatus(Stub):
    def decide(self, body):
        status, content = super().decide(body)
        return 200 if status == 201 else status, content


class RenamesToTheEnd(Stub):
    def change(self, secret, body):
        old = dict(secret["values"])
        super().change(secret, body)
        secret["values"] = dict(sorted(secret["values"].items(), key=lambda item: item[0] not in old))


class AsksNobodyForAKey(Stub):
    def decide(self, body):
        del self.headers["authorization"]
        self.headers["authorization"] = f"Bearer {KEY}"
        return super().decide(body)


class OffersLess(Stub):
    offers = OFFERED[:-1]


class ListsAttachedInAnEnvelope(Stub):
    def attached(self, agent, build):
        status, secrets = super().attached(agent, build)
        return status, {"credentials": secrets}


class ListsAttachedByCreation(Stub):
    def attached(self, agent, build):
        status, secrets = super().attached(agent, build)
        return status, [secret for secret in self.list()[1] if secret in secrets]


class ListsAttachedToAnybody(Stub):
    def sees(self, secret):
        return secret["team_id"] == self.caller.team if self.path.endswith("/credentials") else super().sees(secret)


class AttachesWithAnotherStatus(Stub):
    def attach(self, *where):
        return 200, super().attach(*where)[1]


class AttachesTwice(Stub):
    def attach(self, agent, build, body):
        self.server.revisions[agent, build] = (self.caller.team, self.revision(agent, build)[:0])
        return super().attach(agent, build, body)


class DetachesWhatIsNotAttached(Stub):
    def detach(self, agent, build, one):
        attached = self.revision(agent, build)
        if self.attachable(one) not in attached:
            attached.append(one)
        return super().detach(agent, build, one)


class LetsAnybodyAttach(Stub):
    def attachable(self, one):
        return self.secret(one)["id"]


class ShowsRevisionsToOtherTeams(Stub):
    def revision(self, agent, build):
        return self.server.revisions[agent, build][1] if (agent, build) in self.server.revisions else []


def client_test(stub, client):
    """Runs the client test with a server; the names of the tests that failed, and how many passed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), stub)
    server.people = {KEY: Person(USER, TEAM)}
    server.secrets, server.revisions = {}, {}
    server.description = {"paths": {}}
    for method, path in stub.offers:
        server.description["paths"].setdefault(path, {})[method] = {"operationId": "any"}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = {"CONTRACT_URL": f"http://127.0.0.1:{server.server_port}", "CONTRACT_KEY": KEY, "CONTRACT_TEAM": TEAM}
    where["CONTRACT_CLIENT"] = str(client)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", "client_test.py"]
    here = Path(__file__).parent
    ended = subprocess.run(
        command, cwd=here, env=os.environ | where, capture_output=True, text=True, timeout=120, check=False
    )
    server.shutdown()
    server.server_close()
    failed = set(re.findall(r"^FAILED \S+?::(\w+)", ended.stdout, re.MULTILINE))
    passed = re.findall(r"^PASSED \S+?::(\w+)", ended.stdout, re.MULTILINE)
    # 1: some test failed; anything else that isn't 0 is no verdict.
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    assert (ended.returncode == 1) == bool(failed)
    return failed, len(passed)


#: The test that must find each fault.
FOUND_BY = {
    DropsAField: "test_a_secret_is_created_seen_and_deleted",
    AddsAField: "test_a_secret_is_created_seen_and_deleted",
    ReturnsValues: "test_a_secret_is_created_seen_and_deleted",
    EchoesAValueInAnError: "test_what_makes_no_sense_is_an_error_without_the_value",
    HasAnotherDate: "test_each_way_to_change_a_secret",
    HasAnotherStatus: "test_the_published_example_works_as_printed",
    RenamesToTheEnd: "test_each_way_to_change_a_secret",
    AsksNobodyForAKey: "test_without_a_valid_key_nothing_is_told",
    OffersLess: "test_the_server_offers_the_eight_operations",
    ListsAttachedInAnEnvelope: "test_a_secret_is_attached_listed_and_detached",
    ListsAttachedByCreation: "test_attached_secrets_are_listed_as_they_are_in_the_order_of_attaching",
    ListsAttachedToAnybody: "test_each_caller_is_listed_what_they_see",
    AttachesWithAnotherStatus: "test_a_secret_is_attached_listed_and_detached",
    AttachesTwice: "test_a_secret_is_attached_once",
    DetachesWhatIsNotAttached: "test_what_is_not_attached_cannot_be_detached",
    LetsAnybodyAttach: "test_only_its_owner_attaches_a_personal_secret_and_a_builder_a_shared_one",
    ShowsRevisionsToOtherTeams: "test_what_is_another_teams_is_as_if_absent",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What the client test said of each server."""
    client, stubs = tmp_path_factory.mktemp("generated"), [Stub, *FOUND_BY]
    generate(client)
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(stubs, pool.map(lambda stub: client_test(stub, client), stubs), strict=True))


def test_a_server_without_a_fault_passes(outcomes):
    failed, passed = outcomes[Stub]
    assert not failed
    assert passed >= 45


@pytest.mark.parametrize("stub", FOUND_BY)
def test_a_fault_is_found(stub, outcomes):
    failed, passed = outcomes[stub]
    assert FOUND_BY[stub] in failed
    assert passed


def test_an_operation_that_is_not_described_fails_nothing_else(outcomes):
    failed, _ = outcomes[OffersLess]
    assert failed == {FOUND_BY[OffersLess]}

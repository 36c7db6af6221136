"""A client that is generated from `credentials.yaml` works with the server as
it is, with nothing in it that knows whose server it speaks to.

Speaks to a fresh instance, or to whatever `CONTRACT_URL`, `CONTRACT_KEY` and
`CONTRACT_TEAM` name: `control_test.py` names servers that are broken on
purpose, and in `CONTRACT_CLIENT` where it put the client."""

import datetime
import importlib
import json
import os
import re
import ssl
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import jsonschema_rs
import pytest
import yaml

from instance import Instance, call

DOCUMENT = Path(__file__).parent / "credentials.yaml"
DESCRIPTION = yaml.safe_load(DOCUMENT.read_text())
#: Loaded once: each client would load the authorities that it trusts anew.
TRUST = ssl.create_default_context()
#: What a secret is answered as: the fields, in any order, and what the client makes of each.
FIELDS = {
    "id": uuid.UUID,
    "team_id": uuid.UUID,
    "user_id": (uuid.UUID, type(None)),
    "name": str,
    "service_slug": (str, type(None)),
    "env_var_keys": list,
    "created_by": uuid.UUID,
    "created_at": datetime.datetime,
    "updated_at": datetime.datetime,
}
#: The operations, by their names in the client.
OPERATIONS = {
    "create_secret", "list_secrets", "get_secret", "update_secret", "delete_secret",
    "list_revision_secrets", "attach_revision_secret", "detach_revision_secret",
}  # fmt: skip
#: Whatever of this an answer holds, it was a value.
CANARY = "canary"


def generate(place):
    """Puts the generated client into a folder."""
    # Without the formatting that comes after generating by default.
    (place / "config.yaml").write_text("post_hooks: []\n")
    generator = Path(sys.executable).with_name("openapi-python-client")
    subprocess.run(
        [generator, "generate", "--path", DOCUMENT, "--config", place / "config.yaml", "--meta", "none",
         "--fail-on-warning", "--output-path", place / "credentials_client"],
        check=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def client_package(tmp_path_factory):
    """The generated client."""
    place = os.environ.get("CONTRACT_CLIENT")
    if not place:
        place = tmp_path_factory.mktemp("generated")
        generate(place)
    sys.path.insert(0, str(place))
    return importlib.import_module("credentials_client")


@pytest.fixture(scope="session")
def server():
    """Where the server is, and an owner's key and team there."""
    if url := os.environ.get("CONTRACT_URL"):
        yield SimpleNamespace(url=url, key=os.environ["CONTRACT_KEY"], team=os.environ["CONTRACT_TEAM"])
    else:
        with Instance() as instance:
            yield instance


class Speaker:
    """One version of the API by its generated client. Looks at every answer."""

    def __init__(self, package, version, server, key=None):
        self.version, self._package = version, package.__name__
        self.team = [server.team] if version == "v2" else []
        self.models = importlib.import_module(f"{self._package}.models")
        self._client = package.AuthenticatedClient(
            base_url=server.url,
            token=key or server.key,
            raise_on_unexpected_status=True,
            verify_ssl=TRUST,
            httpx_args={"event_hooks": {"response": [self._look]}},
        )

    @staticmethod
    def _look(response):
        everything = response.read().decode() + str(response.headers)
        assert CANARY not in everything, f"a value came back: {everything}"
        assert response.headers["content-type"].startswith("application/json")

    def operation(self, name):
        """The module of an operation."""
        suffix = "_v1" if self.version == "v1" else ""
        return importlib.import_module(f"{self._package}.api.{self.version}.{name}{suffix}")

    def ask(self, name, status, schema, *path, **body):
        """Calls an operation; what the client made of the answer, which is as the description says."""
        answer = self.operation(name).sync_detailed(*path, client=self._client, **body)
        assert answer.status_code == status, answer.content
        raw = json.loads(answer.content)
        for each in raw if isinstance(raw, list) else [raw]:
            self._validate(each, schema)
        for each in answer.parsed if isinstance(answer.parsed, list) else [answer.parsed]:
            assert type(each) is getattr(self.models, schema)
            if schema == "Secret":
                assert {name for name, kind in FIELDS.items() if isinstance(getattr(each, name), kind)} == set(FIELDS)
        return answer.parsed

    def _validate(self, raw, schema):
        if schema == "Secret":
            assert set(raw) == set(FIELDS)
        whole = {"$ref": f"#/components/schemas/{schema}", "components": DESCRIPTION["components"]}
        jsonschema_rs.validator_for(whole, validate_formats=True).validate(raw)

    # The operations, where they are expected to succeed.

    def create(self, **fields):
        body = self.models.CreateSecret(**self._with_values(fields))
        return self.ask("create_secret", 201, "Secret", *self.team, body=body)

    def list(self):
        return self.ask("list_secrets", 200, "Secret", *self.team)

    def get(self, secret):
        return self.ask("get_secret", 200, "Secret", secret.id)

    def update(self, secret, **fields):
        body = self.models.UpdateSecret(**self._with_values(fields))
        return self.ask("update_secret", 200, "Secret", secret.id, body=body)

    def delete(self, secret):
        answer = self.ask("delete_secret", 200, "Success", secret.id)
        assert answer.success is True

    def attached(self, revision):
        return self.ask("list_revision_secrets", 200, "Secret", *revision)

    def attach(self, revision, secret):
        answer = self.ask("attach_revision_secret", 201, "Success", *revision, body=self.attaching(secret.id))
        assert answer.success is True

    def detach(self, revision, secret):
        answer = self.ask("detach_revision_secret", 200, "Success", *revision, secret.id)
        assert answer.success is True

    def attaching(self, secret):
        return self.models.AttachSecret(credential_id=secret)

    def _with_values(self, fields):
        kinds = {
            "values": self.models.Values,
            "add_values": self.models.Values,
            "rename_keys": self.models.UpdateSecretRenameKeys,
        }
        return {name: kinds[name].from_dict(field) if name in kinds else field for name, field in fields.items()}


@pytest.fixture(params=["v1", "v2"])
def api(request, client_package, server):
    return Speaker(client_package, request.param, server)


def done(server, method, path, body=None, key=None):
    """What else the server must do, which isn't among the eight; what it answers."""
    status, content = call(server.url, method, path, key or server.key, body)
    assert 200 <= status < 300, content
    return content


def new_revision(server):
    """A revision to which nothing is attached: its agent and itself."""
    agent = done(server, "POST", f"/v2/teams/{server.team}/agents", {"name": "an agent"})["agent"]["id"]
    build = done(server, "POST", f"/v2/agents/{agent}/revisions", {"name": "a revision"})["build"]["id"]
    return uuid.UUID(agent), uuid.UUID(build)


@pytest.fixture
def revision(server):
    return new_revision(server)


@pytest.fixture
def colleague(api, client_package, server):
    """Somebody else in the team, of the lowest role."""
    team = f"/v2/teams/{server.team}"
    user = done(server, "POST", f"{team}/members", {"name": "a colleague", "role": "member", "service": True})
    key = {"name": "a key", "service_user_id": user["member"]["id"]}
    key = done(server, "POST", f"{team}/api-keys", key)["api_key"]
    return Speaker(client_package, api.version, server, key)


@pytest.fixture
def stranger(api, client_package, server):
    """The owner of another team."""
    made = done(server, "POST", "/v2/teams", {"name": "another team"})
    key = done(server, "POST", "/v2/key-links/claim", key=made["key_link"]["link"])["api_key"]
    there = SimpleNamespace(url=server.url, key=key, team=made["team"]["id"])
    return Speaker(client_package, api.version, there)


def values(*names):
    """A value for each name, which must not come back."""
    return {name: f"{CANARY}-{name}" for name in names}


def test_the_client_has_the_eight_operations(api, client_package):
    folder = Path(client_package.__file__).parent / "api" / api.version
    modules = {module.stem.removesuffix("_v1") for module in folder.glob("*.py")} - {"__init__"}
    assert modules == OPERATIONS


def test_the_server_offers_the_eight_operations(api, server):
    status, served = call(server.url, "GET", "/openapi.json", server.key)
    assert status == 200
    offered = operations(served)
    wanted = {
        snake(name): where for where, name in operations(DESCRIPTION).items() if where[1].startswith(f"/{api.version}/")
    }
    assert set(wanted) == OPERATIONS
    assert not {name for name, where in wanted.items() if where not in offered}


def operations(description):
    """The operations' names by method and path, whatever the parameters in it are called."""
    return {
        (method, re.sub(r"\{[^}]*\}", "{}", path)): operation["operationId"]
        for path, item in description["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete"}
    }


def snake(name):
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name.removesuffix("V1")).lower()


def test_a_secret_is_created_seen_and_deleted(api, server):
    made = api.create(name="Stripe", values=values("STRIPE_KEY", "A_KEY"), service_slug="stripe", shared=False)
    assert (made.name, made.service_slug) == ("Stripe", "stripe")
    assert made.env_var_keys == ["STRIPE_KEY", "A_KEY"]
    assert made.user_id == made.created_by
    assert made.team_id == uuid.UUID(server.team)
    assert made.created_at == made.updated_at
    assert api.get(made) == made
    assert made in api.list()
    api.delete(made)
    assert made not in api.list()
    api.ask("get_secret", 404, "Error", made.id)


def test_the_published_example_works_as_printed(api):
    made = api.create(name="<string>", values={}, service_slug="<string>", shared=False)
    assert (made.name, made.service_slug, made.env_var_keys) == ("<string>", "<string>", [])


def test_only_name_and_values_are_needed(api):
    made = api.create(name="bare", values=values("KEY"))
    assert made.service_slug is None
    assert made.user_id == made.created_by


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"values": values("NEW")}, ["NEW"]),
        ({"rename_keys": {"ONE": "UNO"}}, ["UNO", "TWO"]),
        ({"remove_keys": ["ONE"]}, ["TWO"]),
        ({"add_values": values("TWO", "THREE")}, ["ONE", "TWO", "THREE"]),
        ({"rename_keys": {"ONE": "UNO"}, "remove_keys": ["TWO"], "add_values": values("TWO")}, ["UNO", "TWO"]),
        ({"name": "renamed", "service_slug": None}, ["ONE", "TWO"]),
    ],
    ids=["values", "rename_keys", "remove_keys", "add_values", "all three", "name and service"],
)
def test_each_way_to_change_a_secret(api, change, keys):
    made = api.create(name="changing", values=values("ONE", "TWO"), service_slug="before")
    changed = api.update(made, **change)
    assert changed.env_var_keys == keys
    assert (changed.name, changed.service_slug) == (
        change.get("name", "changing"),
        change.get("service_slug", "before"),
    )
    assert (changed.id, changed.created_at, changed.created_by) == (made.id, made.created_at, made.created_by)
    assert changed.updated_at >= made.updated_at
    assert api.get(made) == changed


def test_a_secret_is_shared_and_unshared(api):
    made = api.create(name="ours", values=values("KEY"))
    assert api.update(made, shared=True).user_id is None
    assert api.get(made).user_id is None
    assert api.update(made, shared=False).user_id == made.created_by
    assert api.create(name="ours from the first", values=values("KEY"), shared=True).user_id is None


def test_both_versions_show_the_same(client_package, server):
    v1, v2 = (Speaker(client_package, version, server) for version in ("v1", "v2"))
    made = v1.create(name="by v1", values=values("KEY"))
    assert v2.get(made) == made
    assert v1.list() == v2.list()


def test_a_secret_is_attached_listed_and_detached(api, revision):
    made = api.create(name="attached", values=values("ONE", "TWO"))
    assert api.attached(revision) == []
    api.attach(revision, made)
    assert api.attached(revision) == [made]
    api.detach(revision, made)
    assert api.attached(revision) == []
    assert api.get(made) == made


def test_a_secret_is_attached_once(api, revision):
    made = api.create(name="attached", values=values("KEY"))
    api.attach(revision, made)
    api.ask("attach_revision_secret", 409, "Error", *revision, body=api.attaching(made.id))
    assert api.attached(revision) == [made]


def test_what_is_not_attached_cannot_be_detached(api, revision, server):
    made = api.create(name="attached", values=values("KEY"))
    api.ask("detach_revision_secret", 404, "Error", *revision, made.id)
    api.attach(revision, made)
    api.ask("detach_revision_secret", 404, "Error", *new_revision(server), made.id)
    api.detach(revision, made)
    api.ask("detach_revision_secret", 404, "Error", *revision, made.id)
    api.attach(revision, made)
    assert api.attached(revision) == [made]


def test_attached_secrets_are_listed_as_they_are_in_the_order_of_attaching(api, revision):
    first, second, third = (api.create(name=name, values=values("KEY")) for name in ("first", "second", "third"))
    for secret in (third, first, second):
        api.attach(revision, secret)
    renamed = api.update(first, name="renamed")
    assert api.attached(revision) == [third, renamed, second]


def test_a_deleted_secret_is_not_attached_any_more(api, revision):
    kept, gone = (api.create(name=name, values=values("KEY")) for name in ("kept", "gone"))
    for secret in (gone, kept):
        api.attach(revision, secret)
    api.delete(gone)
    assert api.attached(revision) == [kept]
    api.ask("detach_revision_secret", 404, "Error", *revision, gone.id)
    api.ask("attach_revision_secret", 404, "Error", *revision, body=api.attaching(gone.id))


def test_each_caller_is_listed_what_they_see(api, colleague, revision):
    ours = api.create(name="ours", values=values("KEY"), shared=True)
    mine = api.create(name="mine", values=values("KEY"))
    theirs = colleague.create(name="theirs", values=values("KEY"))
    for speaker, secret in ((api, mine), (colleague, theirs), (api, ours)):
        speaker.attach(revision, secret)
    assert api.attached(revision) == [mine, ours]
    assert colleague.attached(revision) == [theirs, ours]


def test_only_its_owner_attaches_a_personal_secret_and_a_builder_a_shared_one(api, colleague, revision):
    ours = api.create(name="ours", values=values("KEY"), shared=True)
    mine = api.create(name="mine", values=values("KEY"))
    for attached in (False, True):
        colleague.ask("attach_revision_secret", 403, "Error", *revision, body=colleague.attaching(ours.id))
        colleague.ask("detach_revision_secret", 403, "Error", *revision, ours.id)
        colleague.ask("attach_revision_secret", 404, "Error", *revision, body=colleague.attaching(mine.id))
        colleague.ask("detach_revision_secret", 404, "Error", *revision, mine.id)
        assert api.attached(revision) == ([ours, mine] if attached else [])
        if not attached:
            api.attach(revision, ours)
            api.attach(revision, mine)


def test_what_is_absent_is_an_error(api, revision, server):
    agent, build = revision
    made = api.create(name="attached", values=values("KEY"))
    api.attach(revision, made)
    other, _ = new_revision(server)
    for absent in ((uuid.uuid4(), build), (agent, uuid.uuid4()), (other, build)):
        api.ask("list_revision_secrets", 404, "Error", *absent)
        api.ask("attach_revision_secret", 404, "Error", *absent, body=api.attaching(made.id))
        api.ask("detach_revision_secret", 404, "Error", *absent, made.id)
    api.ask("attach_revision_secret", 404, "Error", *revision, body=api.attaching(uuid.uuid4()))
    api.ask("detach_revision_secret", 404, "Error", *revision, uuid.uuid4())
    assert api.attached(revision) == [made]


def test_what_is_another_teams_is_as_if_absent(api, stranger, revision):
    ours = api.create(name="ours", values=values("KEY"), shared=True)
    theirs = stranger.create(name="theirs", values=values("KEY"), shared=True)
    api.attach(revision, ours)
    stranger.ask("list_revision_secrets", 404, "Error", *revision)
    stranger.ask("detach_revision_secret", 404, "Error", *revision, ours.id)
    for secret in (ours, theirs):
        stranger.ask("attach_revision_secret", 404, "Error", *revision, body=stranger.attaching(secret.id))
    api.ask("attach_revision_secret", 404, "Error", *revision, body=api.attaching(theirs.id))
    assert api.attached(revision) == [ours]


def test_both_versions_attach_the_same(client_package, server, revision):
    v1, v2 = (Speaker(client_package, version, server) for version in ("v1", "v2"))
    made = v1.create(name="by v1", values=values("KEY"))
    v1.attach(revision, made)
    assert v2.attached(revision) == v1.attached(revision) == [made]
    v2.detach(revision, made)
    assert v1.attached(revision) == []


def test_what_makes_no_sense_is_an_error_without_the_value(api):
    made = api.create(name="both", values=values("KEY"))
    fields = {"values": api.models.Values.from_dict(values("NEW")), "remove_keys": ["KEY"]}
    api.ask("update_secret", 400, "Error", made.id, body=api.models.UpdateSecret(**fields))
    body = api.models.CreateSecret(name="bad", values=api.models.Values.from_dict({"no name": f"{CANARY}-value"}))
    api.ask("create_secret", 400, "Error", *api.team, body=body)


def test_without_a_valid_key_nothing_is_told(api, client_package, server, revision):
    made = api.create(name="attached", values=values("KEY"))
    nobody = Speaker(client_package, api.version, server, key="nobody's")
    nobody.ask("list_secrets", 401, "Error", *nobody.team)
    nobody.ask("list_revision_secrets", 401, "Error", *revision)
    nobody.ask("attach_revision_secret", 401, "Error", *revision, body=nobody.attaching(made.id))
    nobody.ask("detach_revision_secret", 401, "Error", *revision, made.id)

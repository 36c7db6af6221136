"""A client that is generated from `credentials.yaml` works with the server as
it is, with nothing in it that knows whose server it speaks to.

Speaks to a fresh instance, or to whatever `CONTRACT_URL`, `CONTRACT_KEY` and
`CONTRACT_TEAM` name: `control_test.py` names servers that are broken on
purpose."""

import datetime
import importlib
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import jsonschema_rs
import pytest
import yaml

from instance import Instance, call

DESCRIPTION = Path(__file__).parent / "credentials.yaml"
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
#: Those that the server doesn't offer yet. Once it does, they leave this set and get tests.
NOT_OFFERED = {"list_revision_secrets", "attach_revision_secret", "detach_revision_secret"}
#: Whatever of this an answer holds, it was a value.
CANARY = "canary"


@pytest.fixture(scope="session")
def client_package(tmp_path_factory):
    """The generated client."""
    place = tmp_path_factory.mktemp("generated")
    # Without the formatting that comes after generating by default.
    (place / "config.yaml").write_text("post_hooks: []\n")
    generator = Path(sys.executable).with_name("openapi-python-client")
    subprocess.run(
        [generator, "generate", "--path", DESCRIPTION, "--config", place / "config.yaml", "--meta", "none",
         "--fail-on-warning", "--output-path", place / "credentials_client"],
        check=True,
    )  # fmt: skip
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
        self.description = yaml.safe_load(DESCRIPTION.read_text())
        self._client = package.AuthenticatedClient(
            base_url=server.url,
            token=key or server.key,
            raise_on_unexpected_status=True,
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
        whole = {"$ref": f"#/components/schemas/{schema}", "components": self.description["components"]}
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


def values(*names):
    """A value for each name, which must not come back."""
    return {name: f"{CANARY}-{name}" for name in names}


def test_the_client_has_the_eight_operations(api, client_package):
    folder = Path(client_package.__file__).parent / "api" / api.version
    modules = {module.stem.removesuffix("_v1") for module in folder.glob("*.py")} - {"__init__"}
    assert modules == OPERATIONS


def test_the_server_offers_all_but_those_that_are_said_here(api, server):
    status, served = call(server.url, "GET", "/openapi.json", server.key)
    assert status == 200
    offered = operations(served)
    wanted = {
        snake(name): where
        for where, name in operations(api.description).items()
        if where[1].startswith(f"/{api.version}/")
    }
    assert set(wanted) == OPERATIONS
    missing = {name for name, where in wanted.items() if where not in offered}
    print(f"{api.version}: not offered by this server: {', '.join(sorted(missing)) or 'nothing'}")
    assert missing == NOT_OFFERED


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


def test_what_is_not_offered_is_answered_as_an_error(api):
    agent, build, secret = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    body = api.models.AttachSecret(credential_id=secret)
    api.ask("list_revision_secrets", 404, "Error", agent, build)
    api.ask("attach_revision_secret", 404, "Error", agent, build, body=body)
    api.ask("detach_revision_secret", 404, "Error", agent, build, secret)


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


def test_what_makes_no_sense_is_an_error_without_the_value(api):
    made = api.create(name="both", values=values("KEY"))
    fields = {"values": api.models.Values.from_dict(values("NEW")), "remove_keys": ["KEY"]}
    api.ask("update_secret", 400, "Error", made.id, body=api.models.UpdateSecret(**fields))
    body = api.models.CreateSecret(name="bad", values=api.models.Values.from_dict({"no name": f"{CANARY}-value"}))
    api.ask("create_secret", 400, "Error", *api.team, body=body)


def test_without_a_valid_key_nothing_is_told(api, client_package, server):
    nobody = Speaker(client_package, api.version, server, key="nobody's")
    nobody.ask("list_secrets", 401, "Error", *nobody.team)

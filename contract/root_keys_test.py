"""Root keys that somebody else keeps: with the right one the server starts; with a wrong one, none, or nobody there it
says in one sentence what is the matter, within the time that is promised, and the database is as it was."""

import base64
import os
import re
import subprocess
import uuid

import pytest

import instance
from guide_test import blocks
from instance import PATIENCE_SECONDS, Instance
from keepers import BIN, SOFTHSM, Bao, Kms, Silent, SoftHsm, private
from kept import Kept, sql

NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def kms(tmp_path_factory):
    running = Kms(tmp_path_factory.mktemp("kms"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def bao(tmp_path_factory):
    running = Bao(tmp_path_factory.mktemp("bao"))
    yield running
    running.stop()


@pytest.fixture
def hsm(tmp_path):
    return SoftHsm(tmp_path)


def in_kms(kms, place, alias=None):
    """An instance under a key of AWS KMS, and the key's ARN."""
    arn = kms.key(alias)
    kept = Kept(place, "aws-kms", kms.env, {"kms-key": alias or arn})
    kept.secrets = [kms.env["AWS_SECRET_ACCESS_KEY"]]
    return kept, arn


def test_kms_opens_the_instance_again_and_again_by_arn_and_by_alias(kms, tmp_path):
    kept, arn = in_kms(kms, tmp_path, "alias/rockets")
    kept.made()
    kept.serves()
    kept.serves(kms_key=arn)
    kept.refused("--kms-key is missing", arn, kms_key=None)


def test_kms_refuses_another_key(kms, tmp_path):
    kept, arn = in_kms(kms, tmp_path)
    kept.made()
    other = kms.key("alias/moved")
    kept.refused("AWS KMS", other, "is not the one that this instance is sealed under", arn, kms_key=other)
    # What an alias leads to is known to KMS alone. In the real one this is an IncorrectKeyException.
    kept.refused("AWS KMS", "alias/moved", kms_key="alias/moved")
    kept.serves()


def test_kms_has_no_such_key(kms, tmp_path):
    kept, arn = in_kms(kms, tmp_path)
    kept.not_made("AWS KMS", "alias/nothing", "is not there", kms_key="alias/nothing")
    kept.made()
    elsewhere = arn.replace(kms.REGION, "us-east-1")
    kept.refused("AWS KMS", elsewhere, "is not there", "its region", kms_key=elsewhere)
    kept.serves()


def test_kms_denies_who_has_no_permission(tmp_path):
    """moto doesn't name its refusal as AWS does, and decrypts with a disabled key: names are told apart in the
    tests of the crate."""
    kms = Kms(tmp_path / "kms")
    try:
        kept, arn = in_kms(kms, tmp_path)
        makes = kms.who_may("kms:Encrypt", "kms:Decrypt")
        serves, does_nothing = kms.who_may("kms:Decrypt"), kms.who_may()
        kms.enforce()
        kept._env = does_nothing
        kept.not_made("AWS KMS", arn, "may not be used", "403", "allow kms:Encrypt")
        kept._env = makes
        kept.made()
        kept._env = serves
        kept.serves()
        kept.refused(arn, "may not be used", "403", "allow kms:Decrypt", env=does_nothing)
        stranger = serves | {"AWS_SECRET_ACCESS_KEY": "x" * 40}
        kept.refused(arn, "may not be used", env=stranger)
    finally:
        kms.stop()


def test_kms_needs_credentials_and_says_so(kms, tmp_path):
    kept, arn = in_kms(kms, tmp_path)
    kept.made()
    without = {name: value for name, value in kms.env.items() if "KEY" not in name or "URL" in name}
    kept.refused(arn, "may not be used", "there are no AWS credentials", env=without)
    kept.serves()


def test_kms_is_away(kms, tmp_path):
    kept, arn = in_kms(kms, tmp_path)
    kept.made()
    at = "AWS_ENDPOINT_URL_KMS"
    kept.refused("AWS KMS", arn, "can't be reached", env=kms.env | {at: NOBODY})
    with Silent() as port:
        kept.refused("AWS KMS", arn, "within 10 seconds", env=kms.env | {at: f"http://127.0.0.1:{port}"})
    kept.refused(arn, "without TLS", env=kms.env | {at: "http://192.0.2.1"})
    kept.serves()


def test_kms_binds_the_key_to_the_instance(kms, tmp_path):
    """Two instances under one key: what is sealed for one doesn't open for the other."""
    (tmp_path / "other").mkdir()
    one, arn = in_kms(kms, tmp_path)
    other = Kept(tmp_path / "other", "aws-kms", kms.env, {"kms-key": arn})
    one.made()
    other.made()
    sealed = sql(other, "SELECT hex(master) FROM instance")
    sql(one, f"UPDATE instance SET master = x'{sealed}'")
    one.refused(arn, "is not the one that this instance is sealed under", "or the database was altered")
    other.serves()


def traced(kept):
    """All that a start logs at the most talkative level."""
    kept.serves(log="trace")
    said = (kept.data.parent / "serve.log").read_text()
    assert " TRACE " in said, "the control"
    return said


def test_the_most_talkative_log_has_neither_credentials_nor_the_master_key(kms, bao, tmp_path):
    for name in ("kms", "bao"):
        (tmp_path / name).mkdir()
    one, arn = in_kms(kms, tmp_path / "kms")
    one.made()
    sealed, of = (
        bytes.fromhex(sql(one, "SELECT hex(master) FROM instance")),
        sql(one, "SELECT lower(hex(id)) FROM instance"),
    )
    context = {"strongroom:instance": str(uuid.UUID(of))}
    master = kms.api.decrypt(CiphertextBlob=sealed, KeyId=arn, EncryptionContext=context)["Plaintext"]
    said = traced(one)
    for hidden in (base64.b64encode(master).decode(), one.secrets[0], "aws_", "Authorization"):
        assert hidden not in said, hidden

    other = in_transit(bao, tmp_path / "bao", "logged")
    other.made()
    sealed, of = (bytes.fromhex(sql(other, f"SELECT hex({column}) FROM instance")) for column in ("master", "id"))
    label = b"strongroom.master.v1"
    context = b"".join(len(part).to_bytes(4, "big") + part for part in (label, of))
    data = f"ciphertext={sealed.decode()} associated_data={base64.b64encode(context).decode()}"
    master = bao.bao(f"write -field=plaintext transit/decrypt/logged {data}")
    assert len(base64.b64decode(master)) == 32, "the control"
    said = traced(other)
    for hidden in (master, other.secrets[0]):
        assert hidden not in said, hidden


def on_token(hsm, place, label="rockets"):
    options = {"pkcs11-module": SOFTHSM, "pkcs11-token": hsm.token(label), "pkcs11-key": "strongroom"}
    kept = Kept(place, "pkcs11", hsm.env, options | {"pkcs11-pin-file": hsm.pin})
    kept.secrets = [hsm.PIN]
    return kept


def test_a_token_opens_the_instance_again_and_again(hsm, tmp_path):
    kept = on_token(hsm, tmp_path)
    said = kept.made().stderr
    assert "made the key `strongroom` on the token `rockets`" in said, said
    kept.serves()
    # It is remembered on which token the key is, and what it is called.
    kept.serves(pkcs11_token=None, pkcs11_key=None)
    kept.refused("--pkcs11-module is missing", SOFTHSM, pkcs11_module=None)
    kept.refused("--pkcs11-pin-file is missing", pkcs11_pin_file=None)


def test_a_key_that_is_on_the_token_is_used(hsm, tmp_path):
    (tmp_path / "other").mkdir()
    first = on_token(hsm, tmp_path)
    first.made()
    options = {"pkcs11-module": SOFTHSM, "pkcs11-token": "rockets", "pkcs11-key": "strongroom"}
    second = Kept(tmp_path / "other", "pkcs11", hsm.env, options | {"pkcs11-pin-file": hsm.pin})
    assert "made the key" not in second.made().stderr
    second.serves()
    sealed = sql(second, "SELECT hex(master) FROM instance")
    sql(first, f"UPDATE instance SET master = x'{sealed}'")
    first.refused("`strongroom`", "is not the one that this instance is sealed under", "or the database was altered")


def test_a_token_refuses_another_key(hsm, tmp_path):
    (tmp_path / "other").mkdir()
    kept = on_token(hsm, tmp_path)
    kept.made()
    kept.refused("`other`", "is not the one", "the instance's is `strongroom`", pkcs11_key="other")
    other = Kept(tmp_path / "other", "pkcs11", hsm.env, kept._options | {"pkcs11-token": hsm.token("second")})
    other.made()
    kept.refused("`strongroom` on the PKCS#11 token `second`", "is not the one", pkcs11_token="second")
    kept.serves()


def test_a_token_without_the_key(hsm, tmp_path):
    kept = on_token(hsm, tmp_path)
    kept.made()
    kept.refused("token `empty`", "`strongroom`", "is not there", pkcs11_token=hsm.token("empty"))
    kept.serves()


def test_a_token_is_locked_to_a_wrong_pin(hsm, tmp_path):
    kept = on_token(hsm, tmp_path)
    kept.made()
    wrong = private(tmp_path / "wrong", "111111")
    kept.refused("token `rockets`", "is locked", "the PIN is wrong", str(wrong), pkcs11_pin_file=wrong)
    wrong.chmod(0o640)
    kept.refused("chmod 600", pkcs11_pin_file=wrong)
    kept.serves()


def test_a_token_is_away(hsm, tmp_path):
    kept = on_token(hsm, tmp_path)
    kept.not_made("/nowhere.so can't be loaded", pkcs11_module="/nowhere.so")
    kept.made()
    kept.refused("`strongroom`", "can't be reached", "/nowhere.so can't be loaded", pkcs11_module="/nowhere.so")
    kept.refused("can't be reached", "knows no such token", pkcs11_token="nowhere")
    kept.refused("in slot 99", "can't be reached", pkcs11_token=None, pkcs11_slot=99)
    kept.serves()


def in_transit(bao, place, key):
    """An instance under a key of OpenBao, with no more rights than it needs."""
    bao.bao(f"write -f transit/keys/{key}")
    rules = {f"transit/keys/{key}": "read", f"transit/encrypt/{key}": "update", f"transit/decrypt/{key}": "update"}
    token = bao.token(bao.policy(key, rules))
    options = {"transit-url": bao.url, "transit-key": key, "transit-ca-file": bao.ca, "transit-token-file": token}
    kept = Kept(place, "transit", {}, options)
    kept.secrets = [token.read_text().strip()]
    return kept


def test_transit_opens_the_instance_again_and_again(bao, tmp_path):
    kept = in_transit(bao, tmp_path, "right")
    kept.made()
    kept.serves()
    kept.serves(transit_key=None)
    # A server needs to decrypt, and nothing else.
    kept.serves(transit_token_file=bao.token(bao.policy("serving", {"transit/decrypt/right": "update"})))
    kept.refused("--transit-url is missing", bao.url, transit_url=None)
    kept.refused("--transit-token-file is missing", transit_token_file=None)


def test_transit_lets_an_application_in(bao, tmp_path):
    kept = in_transit(bao, tmp_path, "applied")
    role, secret = bao.app_role("applied")
    as_role = {"transit_token_file": None, "transit_role_id": role, "transit_secret_id_file": secret}
    kept.secrets.append(secret.read_text().strip())
    kept.made(**as_role)
    kept.serves(**as_role)
    wrong = private(tmp_path / "wrong", role)
    kept.refused("`applied`", "doesn't let the application in", **as_role | {"transit_secret_id_file": wrong})


def test_transit_refuses_another_key(bao, tmp_path):
    kept = in_transit(bao, tmp_path, "mine")
    kept.made()
    kept.refused("`other`", "is not the one", "the instance's is `mine`", transit_key="other")
    bao.bao("secrets enable -path=second transit")
    bao.bao("write -f second/keys/mine")
    token = bao.token(bao.policy("second", {"second/decrypt/mine": "update"}))
    kept.refused(
        f"`mine` of Transit at {bao.url}", "is not the one", "or the database was altered",
        transit_mount="second", transit_token_file=token,
    )  # fmt: skip
    kept.serves()


def test_transit_has_no_such_key_and_makes_none(bao, tmp_path):
    anything = bao.token(bao.policy("anything", {"transit/*": 'create", "read", "update'}))
    kept = in_transit(bao, tmp_path, "gone")
    kept.not_made("`nothing`", "is not there", transit_key="nothing", transit_token_file=anything)
    kept.made()
    kept.refused("`gone`", "is not there", transit_token_file=anything, transit_mount="transit/elsewhere")
    bao.bao("write transit/keys/gone/config deletion_allowed=true")
    bao.bao("delete transit/keys/gone")
    kept.refused("`gone`", bao.url, "is not there")
    assert "gone" not in bao.bao("list transit/keys"), "nor is one made"


def test_transit_takes_no_key_that_it_would_hand_out(bao, tmp_path):
    kept = in_transit(bao, tmp_path, "exported")
    bao.bao("write transit/keys/exported/config exportable=true")
    kept.not_made("`exported`", "can't seal an instance", "would hand it out")


def test_transit_denies(bao, tmp_path):
    kept = in_transit(bao, tmp_path, "denied")
    kept.made()
    nothing = bao.token(bao.policy("nothing", {"transit/decrypt/denied": "deny"}))
    kept.refused("`denied`", bao.url, "may not be used", "403", "renew the token", transit_token_file=nothing)
    kept.serves()


def test_transit_is_away(bao, tmp_path):
    kept = in_transit(bao, tmp_path, "away")
    kept.made()
    kept.refused("`away`", "can't be reached", "no connection", transit_url=NOBODY)
    with Silent() as port:
        kept.refused("`away`", "within 10 seconds", transit_url=f"https://127.0.0.1:{port}")
    kept.refused("certificate isn't trusted", "--transit-ca-file", transit_ca_file=None)
    kept.serves()


def test_a_token_goes_to_another_machine_over_tls_alone_unless_insisted(bao, tmp_path):
    kept = in_transit(bao, tmp_path, "plain")
    kept.made()
    # Any address of this machine, but none that is known to stay on it.
    away = "http://0.0.0.0:1"
    for url in (away, "http://192.0.2.1:8200", "http://localhost.example.com"):
        kept.refused("plain HTTP", "--transit-insecure-http", transit_url=url)
    kept.refused("can't be reached", transit_url=away, transit_insecure_http="true")
    for url in ("bao:8200", "ftp://127.0.0.1", "https://", "nowhere"):
        kept.refused("--transit-url", "give an address", transit_url=url)
    kept.refused("holds more than an address", transit_url="https://user:word@127.0.0.1")
    kept.serves()


def test_a_server_goes_on_serving_when_transit_is_gone_and_starts_when_it_is_open(tmp_path):
    bao = Bao(tmp_path / "bao")
    try:
        kept = in_transit(bao, tmp_path, "strongroom")
        key = re.search(r"srk_\w+", kept.made().stdout)[0]
        with kept.served() as url:
            bao.bao("operator seal")
            assert instance.call(url, "GET", "/v2/profile", key)[0] == 200
            bao.stop()
            assert instance.call(url, "GET", "/v2/profile", key)[0] == 200
        kept.refused("`strongroom`", "can't be reached", "no connection")
    finally:
        bao.stop()


def test_a_sealed_transit_says_so(tmp_path):
    bao = Bao(tmp_path / "bao")
    try:
        kept = in_transit(bao, tmp_path, "strongroom")
        kept.made()
        bao.bao("operator seal")
        kept.refused("`strongroom`", "is locked", "unseal the server")
    finally:
        bao.stop()


def test_an_instance_goes_from_keeper_to_keeper(kms, hsm, bao, tmp_path):
    kept, arn = in_kms(kms, tmp_path)
    kept.made()
    new = kms.key()
    kept.keys("rotate", "root", new_kms_key=new)
    kept.refused("AWS KMS", arn, "is not the one that this instance is sealed under", new, kms_key=arn)
    kept.now_with({}, kms_key=new)
    kept.serves()
    (tmp_path / "bao").mkdir()
    other = in_transit(bao, tmp_path / "bao", "moved-here")
    kept.now_with(other._env, **{name.replace("-", "_"): value for name, value in other._options.items()})
    kept.keys("rotate", "root", "--root-key", "transit")
    kept.serves(kms_key=None)
    # By the same key once more: its newest version, as the keeper has it.
    bao.bao("write -f transit/keys/moved-here/rotate")
    kept.keys("rotate", "root")
    assert "vault:v2:" in sql(kept, "SELECT CAST(master AS TEXT) FROM instance")
    (tmp_path / "token").mkdir()
    token = on_token(hsm, tmp_path / "token")
    kept.now_with(token._env, **{name.replace("-", "_"): value for name, value in token._options.items()})
    kept.keys("rotate", "root", "--root-key", "pkcs11")
    kept.serves(kms_key=None, transit_url=None)
    kept.keys("rotate", "master")
    kept.serves(kms_key=None, transit_url=None)


def test_either_of_two_keepers_opens_it(kms, bao, tmp_path):
    kept = in_transit(bao, tmp_path, "one-of-two")
    kept.made()
    arn = kms.key()
    kept.now_with(kms.env, kms_key=arn)
    kept.keys("add-root", "aws-kms")
    kept.serves()
    kept.serves(transit_url=NOBODY)
    warning = (tmp_path / "serve.log").read_text()
    assert re.search("warning: .*can't be reached.*aws-kms:", warning), warning
    kept.keys("rotate", "master")
    kept.serves(kms_key=None)
    kept.serves(transit_url=NOBODY)
    kept.refused("Transit", "can't be reached", transit_url=NOBODY, kms_key=None)
    kept.keys("remove-root", "aws-kms")
    kept.refused("Transit", "can't be reached", transit_url=NOBODY)


@pytest.mark.parametrize("section", ["AWS KMS", "PKCS#11", "Transit"])
def test_the_guide_works_as_printed(section, request, tmp_path):
    setting = {"AWS KMS": guide_kms, "PKCS#11": guide_hsm, "Transit": guide_bao}[section](request, tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "strongroom").symlink_to(Instance.command()[0])
    environment = {"PATH": f"{tmp_path / 'bin'}:{BIN}:{os.defpath}", "HOME": str(tmp_path)} | setting
    for where, lines in blocks("root-keys.md", section):
        script = "\n".join(lines).replace("https://bao.example.com:8200", setting.get("BAO_ADDR", ""))
        script = script.replace("/etc/strongroom/", f"{tmp_path}/")
        if where == "server":
            starts(script, environment, tmp_path)
        elif not lines[0].startswith("aws "):
            done = subprocess.run(
                ["bash", "-euc", script], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{script}\n{done.stderr}"


def starts(command, environment, place):
    """A server that is told to start says where it listens."""
    command = f"exec {command} --listen 127.0.0.1:0"
    server = subprocess.Popen(
        ["bash", "-euc", command], cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = server.stdout.readline()
        assert "listening on http://" in line, server.stderr.read()
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE_SECONDS)


def guide_kms(request, _):
    kms = request.getfixturevalue("kms")
    kms.key("alias/strongroom")
    return kms.env


def guide_hsm(_, place):
    hsm = SoftHsm(place)
    private(place / "so-pin", "73918264")
    return hsm.env


def guide_bao(request, place):
    bao = Bao(place / "bao")
    request.addfinalizer(bao.stop)
    bao.bao("secrets disable transit")
    (place / "bao-ca.pem").write_text(bao.ca.read_text())
    return bao.env

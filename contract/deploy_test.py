"""What deploy/ says, held against the program and the tools that will read it. Not run here: a container engine,
systemd itself."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
BINARY = os.environ["STRONGROOM_BINARY"]


def run(*command):
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def options(command):
    """The options and variables of a command, from its help."""
    code, said = run(BINARY, command, "--help")
    assert code == 0, said
    return set(re.findall(r"--[a-z-]+", said)), set(re.findall(r"STRONGROOM_[A-Z_]+", said))


def unit():
    """The lines of the systemd unit's settings."""
    text = (DEPLOY / "strongroom.service").read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def verified(path):
    code, said = run("systemd-analyze", "verify", path)
    return code == 0 and said == "", said


def test_systemd_understands_the_unit(tmp_path):
    text = (DEPLOY / "strongroom.service").read_text()
    assert "/usr/local/bin/strongroom" in text
    path = tmp_path / "strongroom.service"
    path.write_text(text.replace("/usr/local/bin/strongroom", BINARY))
    good, said = verified(path)
    assert good, said
    path.write_text(path.read_text().replace("ProtectHome=yes", "ProtectHome=perhaps"))
    good, said = verified(path)
    assert not good, "the control"


def test_the_unit_starts_the_program_with_options_that_it_has():
    command = unit()["ExecStart"].split()
    assert {word for word in command if word.startswith("--")} <= options(command[1])[0]


def services():
    with open(DEPLOY / "compose.yaml") as file:
        return yaml.safe_load(file)


def test_the_compose_file_uses_options_and_variables_that_the_program_has():
    compose = services()
    ours = {name: of for name, of in compose["services"].items() if of.get("image") == "strongroom"}
    assert set(ours) == {"init", "one", "two"}
    for of in ours.values():
        known, variables = options(of["command"][0])
        assert {word for word in of["command"] if word.startswith("--")} <= known
        assert set(of["environment"]) <= variables
        assert {secret["source"] for secret in of["secrets"]} <= set(compose["secrets"])
        assert {volume.split(":")[0] for volume in of["volumes"]} <= set(compose["volumes"])
        assert set(of["depends_on"]) <= set(compose["services"])


def test_the_image_is_made_of_files_that_are_there_and_run_by_nobody():
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines[0] == "FROM rust:1.95-bookworm AS build"
    assert [line for line in lines if line.startswith("USER")] == ["USER 65532:65532"]
    assert any("./release --features root-keys" in line for line in lines), "as it is released"
    assert ":nonroot" in [line for line in lines if line.startswith("FROM")][-1]
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [ROOT / line[1:] for line in kept if line.startswith("!")]
    assert [path for path in kept if not path.exists()] == []
    # What the compiler read, by its own word, is among them.
    read = pathlib.Path(BINARY + ".d").read_text().split(": ", 1)[1].split()
    read = [pathlib.Path(os.path.normpath(path)) for path in read]
    read = [path for path in read if path.is_relative_to(ROOT) and "target" not in path.parts]
    assert ROOT / "crates" / "cli" / "src" / "main.rs" in read
    assert [path for path in read if not any(path.is_relative_to(one) for one in kept)] == []


def test_what_a_release_is_built_for_is_done_by_the_program():
    practice = str(ROOT / "bench" / "practice.py")
    code, said = run(sys.executable, practice, BINARY, "--seconds", "1")
    assert (code, said) == (0, "")


def test_a_practice_in_which_nothing_gets_through_is_none(tmp_path):
    """The control: a server that trusts no certificate of a host."""
    other = tmp_path / "strongroom"
    other.write_text(
        f"""#!{sys.executable}
import os, sys
words = sys.argv[1:]
if "--broker-trust" in words:
    at = words.index("--broker-trust")
    del words[at : at + 2]
os.execv({BINARY!r}, [{BINARY!r}, *words])
"""
    )
    other.chmod(0o755)
    code, said = run(sys.executable, str(ROOT / "bench" / "practice.py"), str(other))
    assert code == 1
    assert "through the broker: 502 by HTTP/1.1" in said


def test_a_release_says_what_it_is_missing(tmp_path):
    rustc = tmp_path / "rustc"
    rustc.write_text('#!/bin/sh\n[ "$1" = -vV ] && printf "host: none\\nLLVM version: 99.1.2\\n" || echo /nowhere\n')
    rustc.chmod(0o755)
    command = [sys.executable, ROOT / "release"]
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, env=os.environ | {"PATH": path}, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: there is no llvm-profdata of LLVM 99",
        "hint: rustup component add llvm-tools, or apt-get install llvm-99",
    ]


@pytest.fixture
def nginx():
    found = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    assert found, "nginx is missing: apt-get install nginx"
    return found


def test_nginx_understands_the_balancer(nginx, tmp_path):
    tls = tmp_path / "tls"
    tls.mkdir()
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1"
    files = ["-keyout", tls / "privkey.pem", "-out", tls / "fullchain.pem"]
    subprocess.run([*make.split(), *files], check=True, capture_output=True)
    text = (DEPLOY / "nginx.conf").read_text()
    for theirs, here in (
        ("/etc/nginx/tls", str(tls)),
        ("/tmp/nginx.pid", str(tmp_path / "pid")),
        ("one:8700", "127.0.0.1:8700"),
        ("two:8700", "127.0.0.1:8701"),
    ):
        assert theirs in text
        text = text.replace(theirs, here)
    path = tmp_path / "nginx.conf"
    for written, good in ((text, True), (text.replace("least_conn", "most_conn"), False)):
        path.write_text(written)
        code, said = run(nginx, "-t", "-q", "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(path))
        assert (code == 0) == good, said

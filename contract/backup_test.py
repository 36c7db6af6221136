"""A stranger with a backup, the recovery key and two libraries opens it, by the documentation alone."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "open_backup.py"


def opened(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], check=False, capture_output=True, text=True)


def test_a_stranger_reads_a_secret_out_of_a_backup(instance):
    values = {"GREETING": "grüß dich 🔑", "TWO": "a\nb"}
    for name, these in [("Ärger ✓", {"OLD": "old"}), ("other", {"GREETING": "another's"})]:
        status, made = instance.call("POST", "/v1/credentials", {"name": name, "values": these})
        assert status == 201, made
        if name != "other":
            secret = made["id"]
            status, made = instance.call("PATCH", f"/v2/credentials/{secret}", {"values": values})
            assert status == 200, made
    file, identity = instance.place / "one.backup", instance.place / "recovery.key"
    back_up = instance.command("backup", "--data-dir", instance.place / "data", "--out", file)
    subprocess.run(back_up, check=True, capture_output=True, env={})
    for wanted in ("Ärger ✓", secret):
        read = opened(file, identity, wanted)
        assert read.returncode == 0, read.stderr
        for name, value in values.items():
            assert f"{name}={value}\n" in read.stdout
        assert "another's" not in read.stdout
    # A control: what isn't as it was signed isn't opened.
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    file.write_bytes(damaged)
    assert opened(file, identity, secret).returncode != 0

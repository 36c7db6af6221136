"""Opens a backup without Strongroom, and prints the values of one secret.

    pip install pyrage cryptography
    python open_backup.py FILE IDENTITY SECRET

FILE is a backup, IDENTITY the file of the recovery key, SECRET the id of a secret or its name. It follows
docs/reference/backup.md and docs/reference/sealing.md, and uses nothing else.
"""

import base64
import gzip
import hashlib
import io
import json
import struct
import sys
import uuid

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC, FOOTER = b"strongroom-backup-v1\n", b"strongroom-backup-end "


def parts(file):
    """The manifest and the encrypted payload of a backup, when they are what was signed."""
    length = int(file[-43:].removeprefix(FOOTER))
    note = file[-43 - length : -43].decode()
    payload = file[len(MAGIC) : -43 - length]
    text, signature = note.split("\n\n")
    title, line = text.split("\n")
    manifest = json.loads(line)
    assert file.startswith(MAGIC)
    assert title == "strongroom-backup-manifest-v1"
    key = base64.b64decode(manifest["verifier_key"].split("+", 2)[2])[1:]
    signature = base64.b64decode(signature.split(" ")[2])[4:]
    Ed25519PublicKey.from_public_bytes(key).verify(signature, (text + "\n").encode())
    assert len(payload) == manifest["payload"]["length"]
    assert hashlib.sha256(payload).hexdigest() == manifest["payload"]["sha256"]
    return manifest, payload


def tables(plain):
    """The rows of each table, by the names of their columns."""
    read = {
        "id": lambda value: uuid.UUID(value).bytes,
        "bytes": base64.b64decode,
        "text": str,
        "number": int,
    }
    tables, table, columns = {}, None, []
    for line in map(json.loads, io.TextIOWrapper(gzip.GzipFile(fileobj=io.BytesIO(plain)), "utf-8")):
        if isinstance(line, list):
            row = (None if value is None else read[kind](value) for value, (_, kind) in zip(line, columns, strict=True))
            tables[table].append(dict(zip((name for name, _ in columns), row, strict=True)))
        elif "table" in line:
            table, columns = line["table"], line["columns"]
            tables[table] = []
    assert line["rows"] == sum(map(len, tables.values()))
    return tables


def unseal(key, sealed, label, *fields):
    """What was sealed with this key in this context; section 1 of sealing.md."""
    context = b"".join(struct.pack(">I", len(field)) + field for field in (label.encode(), *fields))
    header, salt, commitment, ciphertext = sealed[:18], sealed[18:50], sealed[50:82], sealed[82:]
    assert header[:2] == b"\x01\x01"
    keys = HKDF(SHA512(), 64, salt, header + context).derive(key)
    assert keys[32:] == commitment, "another key, another context, or altered"
    return AESGCM(keys[:32]).decrypt(bytes(12), ciphertext, header + context)


def values(plain):
    """The values of a version; section 4 of sealing.md."""
    plain = io.BytesIO(plain)
    while length := plain.read(2):
        name = plain.read(*struct.unpack(">H", length)).decode()
        yield name, plain.read(*struct.unpack(">I", plain.read(4))).decode()


def main(file, identity, wanted):
    with open(identity) as lines:
        (line,) = (line.strip() for line in lines if line.strip() and not line.startswith("#"))
    identity = pyrage.x25519.Identity.from_str(line)
    with open(file, "rb") as backup:
        _, payload = parts(backup.read())
    rows = tables(pyrage.decrypt(payload, [identity]))
    (instance,) = rows["instance"]
    master = pyrage.decrypt(instance["recovery"], [identity])
    (secret,) = (row for row in rows["secrets"] if wanted in (row["name"], str(uuid.UUID(bytes=row["id"]))))
    version = next(
        row for row in rows["versions"] if (row["secret_id"], row["number"]) == (secret["id"], secret["version"])
    )
    key = next(row for row in rows["keys"] if row["id"] == version["sealed"][2:18])
    of_key = (key["owner"].encode(), key["team_id"], key["id"], struct.pack(">H", key["version"]))
    team = unseal(master, key["sealed"], "strongroom.key.v1", instance["id"], *of_key)
    of_version = (instance["id"], secret["team_id"], secret["id"], struct.pack(">I", version["number"]))
    for name, value in values(unseal(team, version["sealed"], "strongroom.version.v1", *of_version)):
        print(f"{name}={value}")


if __name__ == "__main__":
    main(*sys.argv[1:])

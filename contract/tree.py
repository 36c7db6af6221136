"""The audit tree as a stranger reads it: RFC 6962 and C2SP signed notes, from their texts alone."""

import base64
import hashlib
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def leaf(line):
    return hashlib.sha256(b"\0" + line.encode()).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def head(note, key):
    """The log, the size and the root that a signed head is over, when this verifier key signed it."""
    text, signatures = note.split("\n\n")
    text += "\n"
    name, number, public = key.split("+", 2)
    public = base64.b64decode(public)
    assert public[0] == 1, "not Ed25519"
    assert hashlib.sha256(name.encode() + b"\n" + public).hexdigest()[:8] == number
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        signature = base64.b64decode(signature)
        assert dash == "—"
        if signer == name and signature[:4].hex() == number:
            try:
                Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], text.encode())
            except InvalidSignature:
                raise AssertionError("the signature is wrong") from None
            origin, size, root = text.splitlines()
            return origin, int(size), base64.b64decode(root)
    raise AssertionError("not signed by this key")


def root_of(place, hashed, size, proof):
    """The root to which a leaf's proof leads (RFC 9162, 2.1.3.2)."""
    last = size - 1
    for sibling in proof:
        assert last > 0
        if place & 1 or place == last:
            hashed = node(sibling, hashed)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            hashed = node(hashed, sibling)
        place, last = place >> 1, last >> 1
    assert last == 0
    return hashed


def events(file, key):
    """The events in an exported file that holds, and how many leaves it skips."""
    stack, found, skipped, size = [], [], 0, 0

    def push(hashed, leaves):
        nonlocal size
        assert size % leaves == 0, "misplaced"
        size += leaves
        while stack and stack[-1][1] == leaves:
            hashed, leaves = node(stack.pop()[0], hashed), leaves * 2
        stack.append((hashed, leaves))

    first, *lines, end = file.splitlines()
    for line in lines:
        read = json.loads(line)
        if "skipped" in read:
            skipped += read["skipped"]["leaves"]
            push(base64.b64decode(read["skipped"]["hash"]), read["skipped"]["leaves"])
        else:
            found.append(read)
            push(leaf(line), 1)
    origin, expected, root = head(json.loads(end)["checkpoint"], key)
    assert json.loads(first) == {"audit": "strongroom.audit/v1", "log": origin}
    assert size == expected
    whole = stack.pop()[0]
    while stack:
        whole = node(stack.pop()[0], whole)
    assert whole == root, "these are not the events that were signed over"
    return found, skipped

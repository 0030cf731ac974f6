#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes sealed_model.json: one sealed model, made by another implementation (python3-cryptography) from the text of
docs/protocol.md. The header is written field by field as protobuf's wire format."""

import hashlib
import json
import pathlib
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def hkdf(key, salt, info, length):
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt or None, info=info).derive(key)


def expand(prk, info, length):
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
    return HKDFExpand(algorithm=hashes.SHA256(), length=length, info=info).derive(prk)


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def main():
    owner_key = bytes(range(32))
    salt = bytes(range(64, 96))
    ranges = b"ranges of the example\n"
    model = b"a stand-in for an ONNX file"
    key_id = hkdf(owner_key, b"", b"shoji sealed model key id v1", 16)
    header = (number(1, 1) + text(2, b"example") + text(3, key_id) + text(4, salt) +
              text(5, number(1, 2) + text(2, b"fc1")) + text(6, number(1, 3) + number(2, 5)) + number(7, 1000) +
              text(8, number(1, 2) + number(2, len(ranges))) + text(8, number(1, 1) + number(2, len(model))))
    front = b"SHOJISM1" + struct.pack(">I", len(header)) + header
    file_key = hkdf(owner_key, salt, b"shoji sealed model file key v1" + hashlib.sha256(front).digest(), 32)
    tag = expand(file_key, b"shoji sealed model header v1", 32)
    content = expand(file_key, b"shoji sealed model content v1", 44)
    aad = b"shoji sealed chunk v1" + struct.pack(">Q", 0) + b"\x01"
    chunk = AESGCM(content[:32]).encrypt(content[32:], ranges + model, aad)
    vector = {
        "owner_key": owner_key.hex(),
        "owner_key_id": key_id.hex(),
        "file_key": file_key.hex(),
        "ranges": ranges.decode(),
        "model": model.decode(),
        "sealed": (front + tag + chunk).hex(),
        "digest": hashlib.sha256(front + tag + chunk).hexdigest(),
    }
    path = pathlib.Path(__file__).with_name("sealed_model.json")
    path.write_text(json.dumps(vector, indent=2) + "\n")


if __name__ == "__main__":
    main()

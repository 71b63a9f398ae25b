"""Writes kinds.desc, mesh.desc and messages.json: random messages of kinds.Reading as Python's protobuf writes
them, and what its accessors say of them. Needs protobuf and grpcio-tools; run in this folder."""

import importlib.resources
import json
import math
import random
import struct

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

include = str(importlib.resources.files("grpc_tools") / "_proto")
for name, sources in [("kinds", ["kinds.proto", "old.proto"]), ("mesh", ["mesh.proto"])]:
    arguments = ["protoc", "-I.", f"-I{include}", "--include_imports"]
    assert protoc.main([*arguments, f"--descriptor_set_out={name}.desc", *sources]) == 0

files = descriptor_pb2.FileDescriptorSet.FromString(open("kinds.desc", "rb").read())
pool = descriptor_pool.DescriptorPool()
for file in files.file:
    pool.Add(file)
reading = message_factory.GetMessageClass(pool.FindMessageTypeByName("kinds.Reading"))
rng = random.Random(7)

INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "sint32": (-(2**31), 2**31 - 1),
    "sfixed32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "fixed32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "sint64": (-(2**63), 2**63 - 1),
    "sfixed64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
    "fixed64": (0, 2**64 - 1),
}


def integer(kind):
    low, high = INTEGERS[kind]
    small = rng.randint(max(low, -200), 200)
    return rng.choice([low, high, 0, small, small, rng.randint(low, high)])


def number():
    return rng.choice([0.0, -1.5, rng.uniform(-1e6, 1e6), rng.uniform(-1, 1)])


def inner(message, depth=0):
    if rng.random() < 0.7:
        message.value = number()
    if rng.random() < 0.5:
        message.count = integer("uint32")
    if depth < 3 and rng.random() < 0.4:
        inner(message.next, depth + 1)
        message.next.SetInParent()


def fill(message):
    for kind in INTEGERS:
        if rng.random() < 0.6:
            setattr(message, f"f_{kind}", integer(kind))
    if rng.random() < 0.6:
        message.f_double, message.f_float = number(), number()
        message.f_bool = rng.random() < 0.5
        message.f_string = rng.choice(["", "sensor", "é" * 9])
        message.f_bytes = rng.randbytes(rng.randint(0, 9))
        message.f_enum = rng.choice([0, 1, -3, 9])
    if rng.random() < 0.5:
        message.o_float = number()
    choice = rng.random()
    if choice < 0.3:
        message.c_int = integer("int32")
    elif choice < 0.6:
        message.c_inner.SetInParent()
        inner(message.c_inner)
    message.packed.extend(number() for _ in range(rng.choice([0, 1, 5])))
    message.unpacked.extend(integer("sint32") for _ in range(rng.choice([0, 1, 5])))
    for _ in range(rng.choice([0, 1, 3])):
        inner(message.inners.add())
    for name in rng.sample(["a", "b", "", "long name"], rng.randint(0, 3)):
        message.by_name[name] = number()
    for key in rng.sample([0, -1, 2**31 - 1], rng.randint(0, 2)):
        inner(message.by_number[key])
    if rng.random() < 0.5:
        message.inner.SetInParent()
        inner(message.inner)
    if rng.random() < 0.5:
        message.at.seconds = rng.randint(0, 4_000_000_000)
        message.at.nanos = rng.randint(0, 999_999) * 1000
    if rng.random() < 0.5:
        message.old.flag = True
        message.old.packed.extend(integer("fixed32") for _ in range(2))
        message.old.unpacked.extend(integer("fixed32") for _ in range(2))
        if rng.random() < 0.5:
            message.old.number = integer("int32")


def told(message):
    """As the decoder gives it: names, and what is absent only where the field has presence."""
    result = {}
    if message.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
        return {"micros": message.seconds * 1_000_000 + message.nanos // 1000}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            values = {str(key).lower() if isinstance(key, bool) else str(key): value[key] for key in value}
            if values:
                result[field.name] = {key: scalar(it) for key, it in values.items()}
        elif field.is_repeated:
            if len(value):
                result[field.name] = [scalar(it) for it in value]
        elif not field.has_presence or message.HasField(field.name):
            result[field.name] = scalar(value)
    return result


def scalar(value):
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, float):
        assert math.isfinite(value)
        return {"bits": struct.unpack("<Q", struct.pack("<d", value))[0]}
    if isinstance(value, (bool, int, str)):
        return value
    return told(value)


cases = []
for _ in range(100):
    message = reading()
    fill(message)
    wire = message.SerializeToString()
    if rng.random() < 0.2 and wire:
        # The same message in two parts: fields are merged, and the last scalar counts.
        other = reading()
        fill(other)
        wire += other.SerializeToString()
        message = reading.FromString(wire)
    cases.append({"wire": wire.hex(), "value": told(message)})
with open("messages.json", "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")

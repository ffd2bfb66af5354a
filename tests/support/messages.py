"""Messages built on the spot, from descriptors and without a compiler."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

DOUBLE, FLOAT, MESSAGE = FieldDescriptorProto.TYPE_DOUBLE, FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_MESSAGE

_numbers = itertools.count()


@dataclass
class Field:
    """A singular number."""

    number: int
    kind: Any = DOUBLE
    optional: bool = True
    rules: Mapping[str, Any] = field(default_factory=dict)
    """What `(buf.validate.field)` says of it, as its message takes it; only in a pool that knows that option."""
    called: str = ""
    """Its name, unless that is made of its number."""

    @property
    def name(self) -> str:
        return self.called or f"f{self.number}"


def row_and_batch(
    fields: Sequence[Field], rows: int = 1, pool: DescriptorPool | None = None, counts: Mapping[str, Any] | None = None
) -> tuple[Descriptor, Descriptor]:
    """A message of the fields, and one whose field `rows` repeats it, with the rules `counts`."""
    pool = pool or DescriptorPool()
    package = f"made.v{next(_numbers)}"
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    row, batch = file.message_type.add(name="Row"), file.message_type.add(name="Batch")
    for made in fields:
        one = row.field.add(name=made.name, number=made.number, label=FieldDescriptorProto.LABEL_OPTIONAL, type=made.kind)
        if made.rules:
            state(one, made.rules, pool)
        if made.optional:
            one.proto3_optional, one.oneof_index = True, len(row.oneof_decl)
            row.oneof_decl.add(name=f"_{made.name}")
    many = batch.field.add(name="rows", number=rows, label=FieldDescriptorProto.LABEL_REPEATED, type=MESSAGE)
    many.type_name = f".{package}.Row"
    if counts:
        state(many, {"repeated": counts}, pool)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindMessageTypeByName(f"{package}.Row"), pool.FindMessageTypeByName(f"{package}.Batch")


def pool_of(descriptor_set: bytes) -> DescriptorPool:
    """A fresh pool of these files."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptor_set).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def state(to: FieldDescriptorProto, rules: Mapping[str, Any], pool: DescriptorPool) -> None:
    """Say `(buf.validate.field)` of a field."""
    options: Any = GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FieldOptions"))()
    handle = pool.FindExtensionByName("buf.validate.field")
    options.Extensions[handle].CopyFrom(GetMessageClass(handle.message_type)(**rules))
    to.options.MergeFromString(options.SerializeToString())

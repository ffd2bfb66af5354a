"""Builds protobuf messages of numbers from descriptors, without a compiler."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

DOUBLE, FLOAT, MESSAGE = FieldDescriptorProto.TYPE_DOUBLE, FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_MESSAGE
BOOL, INT64, UINT32 = FieldDescriptorProto.TYPE_BOOL, FieldDescriptorProto.TYPE_INT64, FieldDescriptorProto.TYPE_UINT32

_numbers = itertools.count()


@dataclass
class NumberField:
    """A singular field of a number."""

    number: int
    kind: Any = DOUBLE
    optional: bool = True
    rules: Mapping[str, Any] = dataclass_field(default_factory=dict)
    """The option `(buf.validate.field)` as constructor arguments; needs a pool with that option."""
    custom_name: str = ""
    """Instead of `f` and the number."""

    @property
    def name(self) -> str:
        return self.custom_name or f"f{self.number}"


def row_and_batch(
    fields: Sequence[NumberField], rows: int = 1, pool: DescriptorPool | None = None, counts: Mapping[str, Any] | None = None
) -> tuple[Descriptor, Descriptor]:
    """A message of these fields, and a batch whose field `rows`, with this number and the rules `counts`, repeats it."""
    pool = pool or DescriptorPool()
    package = f"made.v{next(_numbers)}"
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    row, batch = file.message_type.add(name="Row"), file.message_type.add(name="Batch")
    for field in fields:
        one = row.field.add(name=field.name, number=field.number, label=FieldDescriptorProto.LABEL_OPTIONAL, type=field.kind)
        if field.rules:
            set_rules(one, field.rules, pool)
        if field.optional:
            one.proto3_optional, one.oneof_index = True, len(row.oneof_decl)
            row.oneof_decl.add(name=f"_{field.name}")
    many = batch.field.add(name="rows", number=rows, label=FieldDescriptorProto.LABEL_REPEATED, type=MESSAGE)
    many.type_name = f".{package}.Row"
    if counts:
        set_rules(many, {"repeated": counts}, pool)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindMessageTypeByName(f"{package}.Row"), pool.FindMessageTypeByName(f"{package}.Batch")


def pool_of(descriptor_set: bytes) -> DescriptorPool:
    """A new pool with the files of a serialized FileDescriptorSet."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptor_set).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def set_rules(field: FieldDescriptorProto, rules: Mapping[str, Any], pool: DescriptorPool) -> None:
    """Sets the option `(buf.validate.field)` of a field."""
    options: Any = GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FieldOptions"))()
    handle = pool.FindExtensionByName("buf.validate.field")
    options.Extensions[handle].CopyFrom(GetMessageClass(handle.message_type)(**rules))
    field.options.MergeFromString(options.SerializeToString())

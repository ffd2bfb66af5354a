"""Finds changes of the messages and enums that callers send and receive."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto

from foretell_contract.contract import Contract
from foretell_contract.diff.finding import ContractChange
from foretell_contract.diff.rule_changes import DeclaredRules, rules_changed, values_changed
from foretell_contract.labels import label_change, probability_class

_TYPES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower() for name in dir(FieldDescriptor) if name.startswith("TYPE_")
}
_COLUMN, _OUTPUT, _RULES = "foretell.v1.column", "foretell.v1.output", "buf.validate.field"


def message_changed(old: Descriptor, new: Descriptor, before: Contract, after: Contract) -> Iterator[ContractChange]:
    """Changes of one message, its fields and its rules."""
    name = old.full_name
    yield from deprecation(old, new, name, name)
    yield from rules_changed(before.rules.declared("message", old), after.rules.declared("message", new), name, name)
    for oneof in new.oneofs:
        was = before.rules.declared("oneof", old.oneofs_by_name[oneof.name]) if oneof.name in old.oneofs_by_name else None
        yield from rules_changed(was, after.rules.declared("oneof", oneof), oneof.full_name, name)
    pairs = dict(_pairs(old, new))
    for field in old.fields:
        if field.name in pairs:
            yield from _field(field, pairs[field.name], before, after)
        else:
            yield from _removed(field, new)
    kept = {field.name for field in pairs.values()}
    for field in new.fields:
        if field.name not in kept:
            yield from _added(field, old, DeclaredRules(field, after.rules.declared("field", field), after))


def enum_changed(old: EnumDescriptor, new: EnumDescriptor, before: Contract, after: Contract) -> Iterator[ContractChange]:
    """Changes of one enum."""
    name = old.full_name
    for value in old.values:
        same, taken = new.values_by_name.get(value.name), new.values_by_number.get(value.number)
        if same is not None and same.number != value.number:
            yield ContractChange("value.renumbered", _value(same), f"number {value.number} -> {same.number}", name)
        elif same is None and taken is not None and taken.name not in old.values_by_name:
            yield ContractChange("value.renamed", _value(taken), f"renamed from {value.name}", name)
        elif same is None:
            yield ContractChange("value.removed", _value(value), f"value {value.number} removed", name)
        else:
            yield from deprecation(value, same, _value(value), name)
            labels = label_change(value, same, before.options, after.options)
            if labels is not None:
                yield ContractChange("value.label", _value(value), f'label "{labels[0]}" -> "{labels[1]}"', name)
    for value in new.values:
        if value.name not in old.values_by_name and value.number not in old.values_by_number:
            yield ContractChange("value.added", _value(value), f"value {value.number} added", name)


def deprecation(old: Any, new: Any, name: str, message: str) -> Iterator[ContractChange]:
    """A change of the option `deprecated`."""
    was, now = old.GetOptions().deprecated, new.GetOptions().deprecated
    if was != now:
        yield ContractChange(
            "deprecated" if now else "undeprecated", name, "deprecated" if now else "no longer deprecated", message
        )


def _pairs(old: Descriptor, new: Descriptor) -> Iterator[tuple[str, FieldDescriptor]]:
    """Pairs of old field name and new field: by name, else by a number and type that no other field has."""
    for field in old.fields:
        if field.name in new.fields_by_name:
            yield field.name, new.fields_by_name[field.name]
        else:
            taken = new.fields_by_number.get(field.number)
            if taken is not None and taken.name not in old.fields_by_name and _type(taken) == _type(field):
                yield field.name, taken


def _field(old: FieldDescriptor, new: FieldDescriptor, before: Contract, after: Contract) -> Iterator[ContractChange]:
    name, message = new.full_name, old.full_name.rpartition(".")[0]
    if old.name != new.name:
        yield ContractChange("field.renamed", name, f"renamed from {old.name}", message)
    elif old.json_name != new.json_name:
        yield ContractChange("field.json_name", name, f"JSON name {old.json_name} -> {new.json_name}", message)
    if old.number != new.number:
        yield ContractChange("field.renumbered", name, f"number {old.number} -> {new.number}", message)
    if _oneof(old) != _oneof(new):
        yield ContractChange("field.oneof", name, f"oneof {_oneof(old) or 'none'} -> {_oneof(new) or 'none'}", message)
    yield from deprecation(old, new, name, message)
    yield from _options(old, new, before, after)
    if _type(old) != _type(new):
        yield ContractChange("field.type", name, f"type {_type(old)} -> {_type(new)}", message)
        return
    was = DeclaredRules(old, before.rules.declared("field", old), before)
    now = DeclaredRules(new, after.rules.declared("field", new), after)
    if _presence(was) != _presence(now):
        words = f"{_PRESENCES[_presence(was)]} -> {_PRESENCES[_presence(now)]}"
        yield ContractChange(f"presence.{_presence(was)}.{_presence(now)}", name, words, message)
    yield from values_changed(was, now, name, message)


_PRESENCES = {
    "plain": "a missing value reads as zero",
    "nonzero": "required, without `optional`",
    "optional": "may be missing",
    "required": "required",
}


def _presence(declared: DeclaredRules) -> str:
    if declared.field.has_presence:
        return "required" if declared.required or declared.field.is_required else "optional"
    return "nonzero" if declared.required else "plain"


def _options(old: FieldDescriptor, new: FieldDescriptor, before: Contract, after: Contract) -> Iterator[ContractChange]:
    """Changes of the column or the output that a field is bound to, and of other custom options."""
    name, message = new.full_name, old.full_name.rpartition(".")[0]
    was, now = before.options.all_set(old), after.options.all_set(new)
    explicit = _COLUMN in was or _COLUMN in now
    columns = was.get(_COLUMN, old.name), now.get(_COLUMN, new.name)
    if columns[0] != columns[1] and (explicit or old.name == new.name):
        yield ContractChange("field.column", name, f'column "{columns[0]}" -> "{columns[1]}"', message)
    outputs = _output(old, was), _output(new, now)
    if outputs[0] != outputs[1]:
        yield ContractChange("field.output", name, f"output {outputs[0] or 'none'} -> {outputs[1] or 'none'}", message)
    for option in sorted(was.keys() | now.keys() - {_COLUMN, _OUTPUT, _RULES}):
        if option not in (_COLUMN, _OUTPUT, _RULES) and str(was.get(option)) != str(now.get(option)):
            texts = (" ".join(str(side.get(option, "none")).split()) for side in (was, now))
            yield ContractChange("field.option", name, f"({option}) {' -> '.join(texts)}", message)


def _output(field: FieldDescriptor, options: dict[str, Any]) -> str:
    """The output of the model that a response field holds, by its option or by its name; empty if neither tells."""
    if _OUTPUT in options:
        return " ".join(str(options[_OUTPUT]).split())
    label = probability_class(field.name)
    return f'probability_of: "{label}"' if label else ""


def _removed(field: FieldDescriptor, new: Descriptor) -> Iterator[ContractChange]:
    name, message = field.full_name, new.full_name
    yield ContractChange("field.removed", name, "removed", message)
    taken = new.fields_by_number.get(field.number)
    if taken is not None:
        yield ContractChange(
            "field.number.reused", taken.full_name, f"uses number {field.number}, formerly of {field.name}", message
        )
    elif not _reserves(new, field):
        yield ContractChange("field.number.free", name, f"number {field.number} is not reserved", message)


def _reserves(message: Descriptor, field: FieldDescriptor) -> bool:
    proto = DescriptorProto()
    message.CopyToProto(proto)
    return any(reserved.start <= field.number < reserved.end for reserved in proto.reserved_range)


def _added(field: FieldDescriptor, old: Descriptor, declared: DeclaredRules) -> Iterator[ContractChange]:
    name, message = field.full_name, old.full_name
    oneof = _oneof(field)
    if oneof in old.oneofs_by_name:
        yield ContractChange("field.added.oneof", name, f"added to the oneof {oneof}", message)
    elif _presence(declared) in ("required", "nonzero"):
        yield ContractChange("field.added.required", name, "added as required", message)
    elif _presence(declared) == "plain" and not declared.surely_takes_zero(declared.kind):
        yield ContractChange(
            "field.added.required", name, "added with rules that refuse zero, which a missing value reads as", message
        )
    else:
        yield ContractChange("field.added", name, "added", message)


def _type(field: FieldDescriptor) -> str:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        key, value = (_type(entry.fields_by_name[part]) for part in ("key", "value"))
        return f"map<{key}, {value}>"
    named = field.message_type or field.enum_type
    single = named.full_name if named is not None else _TYPES[field.type]
    if field.type == FieldDescriptor.TYPE_GROUP:
        single = f"group {single}"
    return f"repeated {single}" if field.is_repeated else single


def _oneof(field: FieldDescriptor) -> str:
    """Name of the declared oneof; empty for none, and for the synthetic oneof of an `optional` field."""
    oneof = field.containing_oneof
    return oneof.name if oneof is not None and not (len(oneof.fields) == 1 and oneof.name == f"_{field.name}") else ""


def _value(value: Any) -> str:
    return f"{value.type.full_name}.{value.name}"

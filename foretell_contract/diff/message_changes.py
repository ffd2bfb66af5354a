"""Finds changes of the messages and enums that callers send and receive."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto

from foretell_contract.contract import Contract
from foretell_contract.diff.finding import ContractChange, RuleAndText
from foretell_contract.diff.rule_changes import DeclaredRules, rules_changed, values_changed
from foretell_contract.fields import TYPE_NAMES
from foretell_contract.labels import label_of, probability_class, same_name
from foretell_contract.problem import one_line

_COLUMN, _OUTPUT, _UNIT, _RULES = "foretell.v1.column", "foretell.v1.output", "foretell.v1.unit", "buf.validate.field"


def message_changed(old: Descriptor, new: Descriptor, before: Contract, after: Contract) -> Iterator[ContractChange]:
    """Changes of one message, its fields and its rules."""
    message = old.full_name
    rules = rules_changed(before.rules.declared("message", old), after.rules.declared("message", new))
    yield from changes(message, (*deprecation(old, new), *rules), message)
    for oneof in new.oneofs:
        was = before.rules.declared("oneof", old.oneofs_by_name[oneof.name]) if oneof.name in old.oneofs_by_name else None
        yield from changes(oneof.full_name, rules_changed(was, after.rules.declared("oneof", oneof)), message)
    pairs = dict(_pairs(old, new))
    for field in old.fields:
        if field.name in pairs:
            yield from changes(pairs[field.name].full_name, _field_changed(field, pairs[field.name], before, after), message)
        else:
            yield from _removed(field, new)
    for field in new.fields:
        if field not in pairs.values():
            rule, text = _added(field, old, DeclaredRules(field, after.rules.declared("field", field), after))
            yield ContractChange(rule, field.full_name, text, message)


def enum_changed(old: EnumDescriptor, new: EnumDescriptor, before: Contract, after: Contract) -> Iterator[ContractChange]:
    """Changes of one enum."""
    for value in old.values:
        same, taken = new.values_by_name.get(value.name), new.values_by_number.get(value.number)
        if same is not None:
            yield from changes(_value(same), _value_changed(value, same, before, after), old.full_name)
        elif taken is not None and taken.name not in old.values_by_name:
            yield ContractChange("value.renamed", _value(taken), f"renamed from {value.name}", old.full_name)
        else:
            yield ContractChange("value.removed", _value(value), f"value {value.number} removed", old.full_name)
    for value in new.values:
        if value.name not in old.values_by_name and value.number not in old.values_by_number:
            yield ContractChange("value.added", _value(value), f"value {value.number} added", old.full_name)


def _value_changed(old: Any, new: Any, before: Contract, after: Contract) -> Iterator[RuleAndText]:
    if old.number != new.number:
        yield "value.renumbered", f"number {old.number} -> {new.number}"
        return
    yield from deprecation(old, new)
    was, now = label_of(old, before.options), label_of(new, after.options)
    if was != now:
        yield "value.label.spelling" if same_name(was, now) else "value.label", f'label "{was}" -> "{now}"'


def changes(name: str, found: Iterable[RuleAndText], message: str = "") -> Iterator[ContractChange]:
    """The changes of one declaration; `message` is the message or enum around it."""
    for rule, text in found:
        yield ContractChange(rule, name, text, message)


def deprecation(old: Any, new: Any) -> Iterator[RuleAndText]:
    """A change of the option `deprecated`."""
    was, now = old.GetOptions().deprecated, new.GetOptions().deprecated
    if was != now:
        yield ("deprecated", "deprecated") if now else ("undeprecated", "no longer deprecated")


def _pairs(old: Descriptor, new: Descriptor) -> Iterator[tuple[str, FieldDescriptor]]:
    """Pairs of old field name and new field: by name, else by a number and type that no other field has."""
    for field in old.fields:
        if field.name in new.fields_by_name:
            yield field.name, new.fields_by_name[field.name]
        else:
            taken = new.fields_by_number.get(field.number)
            if taken is not None and taken.name not in old.fields_by_name and _type(taken) == _type(field):
                yield field.name, taken


def _field_changed(old: FieldDescriptor, new: FieldDescriptor, before: Contract, after: Contract) -> Iterator[RuleAndText]:
    if old.name != new.name:
        yield "field.renamed", f"renamed from {old.name}"
    elif old.json_name != new.json_name:
        yield "field.json_name", f"JSON name {old.json_name} -> {new.json_name}"
    if old.number != new.number:
        yield "field.renumbered", f"number {old.number} -> {new.number}"
    if _oneof(old) != _oneof(new):
        yield "field.oneof", f"oneof {_oneof(old) or 'none'} -> {_oneof(new) or 'none'}"
    yield from deprecation(old, new)
    yield from _options(old, new, before, after)
    if _type(old) != _type(new):
        yield "field.type", f"type {_type(old)} -> {_type(new)}"
        return
    was = DeclaredRules(old, before.rules.declared("field", old), before)
    now = DeclaredRules(new, after.rules.declared("field", new), after)
    if _presence(was) != _presence(now):
        text = f"{_PRESENCES[_presence(was)]} -> {_PRESENCES[_presence(now)]}"
        yield f"presence.{_presence(was)}.{_presence(now)}", text
    yield from values_changed(was, now)


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


def _options(old: FieldDescriptor, new: FieldDescriptor, before: Contract, after: Contract) -> Iterator[RuleAndText]:
    """Changes of the column or the output that a field is bound to, and of other custom options."""
    was, now = before.options.all_set(old), after.options.all_set(new)
    explicit = _COLUMN in was or _COLUMN in now
    columns = was.get(_COLUMN, old.name), now.get(_COLUMN, new.name)
    if columns[0] != columns[1] and (explicit or old.name == new.name):
        yield "field.column", f'column "{columns[0]}" -> "{columns[1]}"'
    outputs = _output(old, was), _output(new, now)
    if outputs[0] != outputs[1]:
        yield "field.output", f"output {outputs[0] or 'none'} -> {outputs[1] or 'none'}"
    units = was.get(_UNIT, ""), now.get(_UNIT, "")
    if units[0] != units[1]:
        rule = "field.unit" if all(units) else "field.unit.documented"
        yield rule, f"unit {units[0] or 'none'} -> {units[1] or 'none'}"
    for option in sorted((was.keys() | now.keys()) - {_COLUMN, _OUTPUT, _UNIT, _RULES}):
        if str(was.get(option)) != str(now.get(option)):
            texts = (one_line(side.get(option, "none")) for side in (was, now))
            yield "field.option", f"({option}) {' -> '.join(texts)}"


def _output(field: FieldDescriptor, options: dict[str, Any]) -> str:
    """The output of the model that a response field holds, by its option or by its name; empty if neither tells."""
    if _OUTPUT in options:
        return one_line(options[_OUTPUT])
    label = probability_class(field.name)
    return f'probability_of: "{label}"' if label else ""


def _removed(field: FieldDescriptor, new: Descriptor) -> Iterator[ContractChange]:
    name, message, number = field.full_name, new.full_name, field.number
    yield ContractChange("field.removed", name, "removed", message)
    taken = new.fields_by_number.get(number)
    if taken is not None:
        text = f"uses number {number}, formerly of {field.name}"
        yield ContractChange("field.number.reused", taken.full_name, text, message)
    elif not _reserves(new, field):
        yield ContractChange("field.number.free", name, f"number {number} is not reserved", message)


def _reserves(message: Descriptor, field: FieldDescriptor) -> bool:
    proto = DescriptorProto()
    message.CopyToProto(proto)
    return any(reserved.start <= field.number < reserved.end for reserved in proto.reserved_range)


def _added(field: FieldDescriptor, old: Descriptor, declared: DeclaredRules) -> RuleAndText:
    if _oneof(field) in old.oneofs_by_name:
        return "field.added.oneof", f"added to the oneof {_oneof(field)}"
    presence = _presence(declared)
    if presence in ("required", "nonzero"):
        return "field.added.required", "added as required"
    if presence == "plain" and not declared.surely_takes_zero(declared.kind):
        return "field.added.required", "added with rules that refuse zero, which a missing value reads as"
    return "field.added", "added"


def _type(field: FieldDescriptor) -> str:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        key, value = (_type(entry.fields_by_name[part]) for part in ("key", "value"))
        return f"map<{key}, {value}>"
    named = field.message_type or field.enum_type
    single = named.full_name if named is not None else TYPE_NAMES[field.type]
    if field.type == FieldDescriptor.TYPE_GROUP:
        single = f"group {single}"
    return f"repeated {single}" if field.is_repeated else single


def _oneof(field: FieldDescriptor) -> str:
    """Name of the declared oneof; empty for none, and for the synthetic oneof of an `optional` field."""
    oneof = field.containing_oneof
    return oneof.name if oneof is not None and not (len(oneof.fields) == 1 and oneof.name == f"_{field.name}") else ""


def _value(value: Any) -> str:
    return f"{value.type.full_name}.{value.name}"

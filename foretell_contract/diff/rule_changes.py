"""Finds changes of the rules of `buf.validate` on fields, messages and oneofs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet

from foretell_contract.contract import Contract
from foretell_contract.diff.finding import RuleAndText
from foretell_contract.problem import one_line
from foretell_contract.rules.accepted_values import Accepted, accepted, plain_value

_ONE_OF = "oneof {"
_NESTED = ("items", "keys", "values")
_ZERO: dict[str, Any] = {"string": "", "bytes": b"", "repeated": (), "map": ()}


@dataclass(frozen=True, slots=True)
class DeclaredRules:
    """The rules that are declared on a field, or on the items, keys or values of one."""

    field: FieldDescriptor
    rules: Any
    """A buf.validate.FieldRules; None for no rules."""
    contract: Contract

    @property
    def kind(self) -> str:
        """Such as "double"; empty if there is no standard rule."""
        return (self.rules is not None and self.rules.WhichOneof("type")) or ""

    @property
    def required(self) -> bool:
        """Whether a value must be present."""
        return self.rules is not None and self.rules.required and self.ignore != "IGNORE_ALWAYS"

    @property
    def ignore(self) -> str:
        """Name of the `ignore` value: when the rules do not apply."""
        if self.rules is None:
            return "IGNORE_UNSPECIFIED"
        values = self.rules.DESCRIPTOR.fields_by_name["ignore"].enum_type.values_by_number
        return str(values[self.rules.ignore].name) if self.rules.ignore in values else str(self.rules.ignore)

    @property
    def group(self) -> Any:
        """The message with the standard rules; None if there is none."""
        return getattr(self.rules, self.kind) if self.kind else None

    def values(self) -> dict[str, Any]:
        """The standard rules by name, without items and examples. Custom rules have their text and their CEL as value."""
        found: dict[str, Any] = {}
        for field, value in self.group.ListFields() if self.kind else ():
            if field.is_extension:
                found[f"[{field.full_name}]"] = f"{value}{self._meaning(field)}"
            elif field.name not in ("example", *_NESTED) and (value is not False or field.name in ("const", "strict")):
                found[field.name] = tuple(map(plain_value, value)) if field.is_repeated else plain_value(value)
        if self.rules is not None and len(UnknownFieldSet(self.group or self.rules)):
            found["(unknown)"] = (self.group or self.rules).SerializeToString(deterministic=True)
        return found

    def examples(self) -> tuple[Any, ...]:
        """The examples of the field."""
        has = self.kind and "example" in self.group.DESCRIPTOR.fields_by_name
        return tuple(map(plain_value, self.group.example)) if has else ()

    def nested(self, name: str) -> "DeclaredRules":
        """The rules on the items of a list, or on the keys or values of a map."""
        entry = self.field.message_type
        field = entry.fields_by_name[name.removesuffix("s")] if name != "items" and entry is not None else self.field
        return DeclaredRules(field, getattr(self.group, name) if self.kind and self.group.HasField(name) else None, self.contract)

    def accepts(self, kind: str) -> Accepted:
        """The values that the standard rules accept."""
        return Accepted() if self.ignore == "IGNORE_ALWAYS" else accepted(kind, self.values(), self.field)

    def surely_takes_zero(self, kind: str) -> bool:
        """Whether the zero value, as which a missing value reads, surely keeps the rules."""
        if self.ignore != "IGNORE_UNSPECIFIED":
            return True
        return not _cel(self.rules) and self.accepts(kind).takes(_ZERO.get(kind, 0)) is True

    def _meaning(self, rule: FieldDescriptor) -> str:
        return "".join(f" {option}" for option in self.contract.options.all_set(rule).values())


def values_changed(old: DeclaredRules, new: DeclaredRules, within: str = "") -> Iterator[RuleAndText]:
    """Changes of the standard rules, down to the items of lists and maps; `within` names the rules around them."""
    kind = old.kind or new.kind
    before, after = old.values(), new.values()
    if old.kind and new.kind and old.kind != new.kind:
        yield "values.unproven", f"rules of {within}{old.kind} -> {new.kind}"
        return
    words = list(_words(before, after, f"{within}{kind}."))
    if old.ignore != new.ignore:
        words.append(f"{within}ignore {old.ignore} -> {new.ignore}")
    if within and old.required != new.required:
        yield "values.unproven", f"{within}required {'removed' if old.required else 'added'}"
    if words:
        yield f"values.{_relation(old, new, kind)}", ", ".join(words)
    if old.examples() != new.examples():
        yield "example", f"{within}example {_value(old.examples())} -> {_value(new.examples())}"
    yield from rules_changed(old.rules, new.rules, within)
    for nested in _NESTED:
        if any(side.kind and nested in side.group.DESCRIPTOR.fields_by_name for side in (old, new)):
            yield from values_changed(old.nested(nested), new.nested(nested), f"{within}{kind}.{nested}.")


def _relation(old: DeclaredRules, new: DeclaredRules, kind: str) -> str:
    """How the accepted values changed: "same", "wider", "narrower", "apart" (both) or "unproven"."""
    if old.ignore != new.ignore and "IGNORE_ALWAYS" in (old.ignore, new.ignore):
        return "narrower" if old.ignore == "IGNORE_ALWAYS" else "wider"
    before, after = old.accepts(kind), new.accepts(kind)
    wider = before <= after and (old.ignore != "IGNORE_IF_ZERO_VALUE" or new.surely_takes_zero(kind))
    narrower = after <= before and (new.ignore != "IGNORE_IF_ZERO_VALUE" or old.surely_takes_zero(kind))
    if wider or narrower:
        return "same" if wider and narrower else "wider" if wider else "narrower"
    known = before.numbers is not None and after.numbers is not None and not before.opaque and not after.opaque
    return "apart" if known else "unproven"


def rules_changed(old: Any, new: Any, within: str = "") -> Iterator[RuleAndText]:
    """Changes of CEL rules and of oneof rules, of a field, message or oneof."""
    before, after = _cel(old), _cel(new)
    old_ids, new_ids = ({identity: key for key, (identity, _) in rules.items()} for rules in (before, after))
    for key, (identity, words) in before.items():
        if key in after:
            yield from _reworded((identity, words), after[key], within)
        elif identity and identity in new_ids and new_ids[identity] not in before:
            yield "rule.changed", f"{within}CEL rule {identity} `{key}` -> `{new_ids[identity]}`"
        else:
            yield _rule(key, "removed"), f"{within}rule {_called(identity, key)} removed"
    for key, (identity, _) in after.items():
        if key not in before and not (identity and identity in old_ids and old_ids[identity] not in after):
            yield _rule(key, "added"), f"{within}rule {_called(identity, key)} added"


def _reworded(old: tuple[str, str], new: tuple[str, str], within: str) -> Iterator[RuleAndText]:
    if old[0] != new[0]:
        yield "rule.id", f'{within}id of a CEL rule "{old[0]}" -> "{new[0]}"'
    if old[1] != new[1]:
        yield "rule.words", f'{within}message of CEL rule {new[0]} "{old[1]}" -> "{new[1]}"'


def _cel(rules: Any) -> dict[str, tuple[str, str]]:
    """Id and message of each CEL rule by its expression; oneof rules by their text, without id and message."""
    if rules is None:
        return {}
    names = rules.DESCRIPTOR.fields_by_name
    found = {rule.expression: (rule.id, rule.message) for rule in getattr(rules, "cel", ())}
    found |= dict.fromkeys(getattr(rules, "cel_expression", ()), ("", ""))
    if "oneof" in names and names["oneof"].is_repeated:
        found |= {f"{_ONE_OF}{one_line(rule)}}}": ("", "") for rule in rules.oneof}
    if rules.DESCRIPTOR.name == "OneofRules" and rules.required:
        found["required"] = ("", "")
    return found


def _rule(key: str, change: str) -> str:
    """A oneof rule in a message also exempts zero values from the rules of its fields, so it both tightens and loosens."""
    return "rule.changed" if key.startswith(_ONE_OF) else f"rule.{change}"


def _called(identity: str, key: str) -> str:
    return f"{identity} `{key}`" if identity else f"`{key}`"


def _words(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in after:
            yield f"{prefix}{name} {_value(before[name])} removed"
        elif name not in before:
            yield f"{prefix}{name} {_value(after[name])} added"
        elif before[name] != after[name]:
            yield f"{prefix}{name} {_value(before[name])} -> {_value(after[name])}"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return f'"{value}"' if isinstance(value, str) else str(value)

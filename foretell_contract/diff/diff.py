"""Compares two contracts: every change that callers could notice, and its impact on them.

    for finding in diff(load(Path("old")), load(Path("new"))):
        print(finding)

Pure functions of two loaded contracts; safe to use from any thread.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from foretell_contract.contract import Contract
from foretell_contract.diff.consequences import consequence
from foretell_contract.diff.finding import ContractChange, Finding, Side, added_or_removed
from foretell_contract.diff.message_changes import enum_changed, message_changed
from foretell_contract.diff.service_changes import services_changed
from foretell_contract.errors import ContractError
from foretell_contract.fields import IMPORTED, messages_within
from foretell_contract.service import Service
from foretell_contract.source.source_info import SourceLocation, source_locations
from foretell_contract.source.training_sentences import authors_words

_NUMBER = r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?"
_UNIT = r"""
    %|°[cf]?
    |(?:micro|milli|centi|kilo|mega)?(?:met(?:re|er)|gram|lit(?:re|er)|second|watt|volt|ampere|joule|hertz|pascal|byte|bit)s?
    |[µmck]m|[µmk]g|ml|[nµm]s|[mk][wvaj]|kwh|[kmg]?hz|h?pa|[kmg]b|bar|psi|(?<=\d)\ ?[mglshkvwajn]
    |inch(?:es)?|foot|feet|ft|yards?|miles?|tonnes?|pounds?|lbs?|ounces?|oz|gallons?
    |minutes?|hours?|days?|weeks?|months?|years?|utc
    |celsius|fahrenheit|kelvin|degrees?|radians?
    |percent(?:age)?|fraction|ratio|log(?:arithm)?|scaled|normali[sz]ed|standardi[sz]ed
    |dollars?|usd|euros?|eur|cents?|gbp
"""
_QUANTITY = re.compile(rf"(?<![\w.])(?:{_NUMBER}|{_UNIT})(?!\w)|{_NUMBER}|(?<=\d)(?:{_UNIT})(?!\w)", re.VERBOSE)


def read_set(serialised: bytes) -> FileDescriptorSet:
    """Parse a FileDescriptorSet or an image of buf. Raises ContractError for other bytes."""
    try:
        return FileDescriptorSet.FromString(serialised)
    except DecodeError:
        fix = "build one with `buf build -o contract.binpb`, or take /contract.binpb of a running bridge"
        raise ContractError("the data is not a FileDescriptorSet", fix) from None


def diff(old: Contract, new: Contract) -> tuple[Finding, ...]:
    """Every difference that callers of `old` could notice, in the order of the new files."""
    before, after = _services(old), _services(new)
    both = [package for package in before if package in after]
    found = list(added_or_removed("package", before, after))
    for package in both:
        found += services_changed(before[package], after[package], old, new)
        found += _package_docs_changed(package, old, new)
    was, now = _reached(before, both), _reached(after, both)
    for name in (name for name in was if name in now):
        found += _type_changed(was[name][0], now[name][0], old, new)
    if not (_has_comments(old, both) and _has_comments(new, both)):
        found = [change for change in found if not change.rule.startswith("comment.")]
    assess = _Assessor(old, new, {name: sides for name, (_, sides) in was.items()})
    return tuple(sorted(map(assess.finding, dict.fromkeys(found)), key=lambda finding: finding.location))


class _Assessor:
    def __init__(self, old: Contract, new: Contract, sides: dict[str, set[Side]]) -> None:
        """`sides` has the sides of each message and enum of `old` by full name."""
        sets = [side.descriptor_set for side in (old, new)]
        self._before, self._after = map(source_locations, sets)
        self._packages = {file.package: file.name for data in sets for file in reversed(FileDescriptorSet.FromString(data).file)}
        self._sides = sides

    def finding(self, change: ContractChange) -> Finding:
        means = consequence(change.rule, self._sides.get(change.message, set()))
        within = [package for package in self._packages if f"{change.name}.".startswith(f"{package}.")]
        package = max(within, key=len, default="")
        alternative = means.alternative.format(package=package, next=next_package(package))
        location = self._location(change)
        return Finding(location, package, change.name, change.rule, change.text, means.impact, means.reason, alternative)

    def _location(self, change: ContractChange) -> SourceLocation:
        for known in (self._after, self._before):
            for name in (change.name, change.message, change.name.rpartition(".")[0]):
                if name in known:
                    return known[name]
        return SourceLocation(self._packages[change.name])


def _services(contract: Contract) -> dict[str, list[Service]]:
    found: dict[str, list[Service]] = {}
    for service in contract.services:
        found.setdefault(service.package, []).append(service)
    return found


_Type = Descriptor | EnumDescriptor


def _reached(services: dict[str, list[Service]], packages: list[str]) -> dict[str, tuple[_Type, set[Side]]]:
    """Every message and enum that methods of these packages use, by full name, and on which sides."""
    found: dict[str, tuple[_Type, set[Side]]] = {}
    for method in (method for package in packages for service in services[package] for method in service.methods):
        for side, top in ((Side.REQUEST, method.input), (Side.RESPONSE, method.output)):
            for message in messages_within(top):
                types: list[_Type] = [message, *(field.enum_type for field in message.fields if field.enum_type is not None)]
                for reached in types:
                    if not reached.full_name.startswith(IMPORTED):
                        found.setdefault(reached.full_name, (reached, set()))[1].add(side)
    return found


def _type_changed(was: _Type, now: _Type, old: Contract, new: Contract) -> Iterator[ContractChange]:
    members: list[str] = []
    if isinstance(was, EnumDescriptor) and isinstance(now, EnumDescriptor):
        yield from enum_changed(was, now, old, new)
        members = [f"{was.full_name}.{value.name}" for value in was.values if value.name in now.values_by_name]
    elif isinstance(was, Descriptor) and isinstance(now, Descriptor) and not was.GetOptions().map_entry:
        yield from message_changed(was, now, old, new)
        members = [field.full_name for field in was.fields if field.name in now.fields_by_name]
    yield from _comments_changed(members, old, new, was.full_name)
    yield from _comments_changed([was.full_name], old, new)


def _package_docs_changed(package: str, old: Contract, new: Contract) -> Iterator[ContractChange]:
    """Changes of title and version, and of the comments of files, services and methods."""
    kept = _services_and_methods(package, new)
    yield from _comments_changed([name for name in _services_and_methods(package, old) if name in kept], old, new)
    (title, comment), (new_title, new_comment) = (_title_and_comment(contract, package) for contract in (old, new))
    if title != new_title:
        yield ContractChange("api", package, f'title and version "{title}" -> "{new_title}"')
    yield from _comment_changed(comment, new_comment, package)


def _title_and_comment(contract: Contract, package: str) -> tuple[str, str]:
    services = [contract.pool.FindServiceByName(service.full_name) for service in _services(contract)[package]]
    files = {service.file.name: service.file for service in services}
    apis = [contract.options.get(file, "foretell.v1.api") for file in files.values()]
    titles = [f"{api.title} {api.version}".strip() for api in apis if api is not None]
    return ", ".join(titles), "\n".join(map(contract.comment, files))


def _has_comments(contract: Contract, packages: list[str]) -> bool:
    """Whether any declaration has a comment; a descriptor set without source info has none."""
    within = tuple(f"{package}." for package in packages)
    return any(name.startswith(within) for name in contract.comments)


def _services_and_methods(package: str, contract: Contract) -> list[str]:
    services = _services(contract)[package]
    return [service.full_name for service in services] + [method.full_name for service in services for method in service.methods]


def _comments_changed(names: Iterable[str], old: Contract, new: Contract, message: str = "") -> Iterator[ContractChange]:
    for name in names:
        yield from _comment_changed(old.comment(name), new.comment(name), name, message)


def _comment_changed(old: str, new: str, name: str, message: str = "") -> Iterator[ContractChange]:
    """A change of one comment, unless only line breaks differ. With a `message`, the comment says what a value in it means."""
    if old.split() == new.split():
        return
    if old and new and authors_words(old) == authors_words(new):
        yield ContractChange("comment.words", name, "the comment follows the training data", message)
        return
    before, after = (Counter(map(str.strip, _QUANTITY.findall(text.lower()))) for text in (old, new))
    if old and new and before != after:
        removed, added = (", ".join((a - b).elements()) or "none" for a, b in ((before, after), (after, before)))
        yield ContractChange("comment.quantities", name, f"numbers or units in the comment: {removed} -> {added}", message)
    else:
        what = "comment reworded" if old and new else "comment added" if new else "comment removed"
        yield ContractChange("comment.meaning" if message and old and new else "comment.words", name, what, message)


def next_package(package: str) -> str:
    """`iris.v2` for `iris.v1`."""
    numbered = re.fullmatch(r"(.*\.v)(\d+)(.*)", package)
    return f"{numbered[1]}{int(numbered[2]) + 1}" if numbered else f"{package}.v2"

"""What a change of a contract means for those who call it.

    for finding in diff(load(Path("old")), load(Path("new"))):
        print(finding)

Pure functions of two loaded contracts: nothing is read, written or remembered.
"""

import re
from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from foretell_contract.contract import Contract, load_set
from foretell_contract.diff.comment_changes import comment_changed
from foretell_contract.diff.consequences import consequence
from foretell_contract.diff.finding import ContractChange, Finding, Side
from foretell_contract.diff.message_changes import enum_changed, message_changed
from foretell_contract.diff.service_changes import services_changed
from foretell_contract.errors import ContractError
from foretell_contract.service import Service
from foretell_contract.source.source_locations import SourceLocation, source_locations

_FOREIGN = ("google.", "buf.")


def breaking(old: bytes, new: bytes) -> tuple[Finding, ...]:
    """What in the descriptor set `new` breaks callers of the descriptor set `old`; empty where nothing does.

    Each finding names the package whose callers it breaks. Raises ContractError for what is no contract.
    """
    before, after = (load_set(read_set(side)) for side in (old, new))
    return tuple(finding for finding in diff(before, after) if finding.breaks)


def read_set(serialised: bytes) -> FileDescriptorSet:
    """A FileDescriptorSet, or an image of buf. Raises ContractError for other bytes."""
    try:
        return FileDescriptorSet.FromString(serialised)
    except DecodeError:
        raise ContractError("no FileDescriptorSet: build one with `buf build -o contract.binpb`, or take /contract.binpb") from None


def diff(old: Contract, new: Contract) -> tuple[Finding, ...]:
    """Every difference that callers of `old` could notice, in the order of the new files."""
    before, after = _services(old), _services(new)
    both = [package for package in before if package in after]
    found = [ContractChange("package.removed", package, "package removed") for package in before if package not in after]
    found += [ContractChange("package.added", package, "package added") for package in after if package not in before]
    for package in both:
        found += services_changed(before[package], after[package], old, new)
        found += _described(package, old, new)
    was, is_now = _reached(before, both), _reached(after, both)
    for name in (name for name in was if name in is_now):
        found += _type_changed(was[name][0], is_now[name][0], old, new)
    if not (_commented_on(old, both) and _commented_on(new, both)):
        found = [change for change in found if not change.rule.startswith("comment.")]
    judge = _Judge(old, new, {name: sides for name, (_, sides) in was.items()})
    return tuple(sorted(map(judge, dict.fromkeys(found)), key=lambda finding: finding.location))


class _Judge:
    """From changes to findings."""

    def __init__(self, old: Contract, new: Contract, sides: dict[str, set[Side]]) -> None:
        self._before, self._after = source_locations(old.descriptor_set), source_locations(new.descriptor_set)
        self._packages = {file.package for side in (old, new) for file in FileDescriptorSet.FromString(side.descriptor_set).file}
        self._sides = sides

    def __call__(self, change: ContractChange) -> Finding:
        judged = consequence(change.rule, self._sides.get(change.message, set()))
        package = self._package(change.name)
        alternative = judged.alternative.format(package=package, next=_next(package))
        return Finding(
            self._location(change), package, change.name, change.rule, change.text, judged.impact, judged.reason, alternative
        )

    def _location(self, change: ContractChange) -> SourceLocation:
        for known in (self._after, self._before):
            for name in (change.name, change.message, change.name.rpartition(".")[0]):
                if name in known:
                    return known[name]
        files = (
            place for known in (self._after, self._before) for name, place in known.items() if self._package(name) == change.name
        )
        return SourceLocation(next(files, SourceLocation(change.name)).file)

    def _package(self, name: str) -> str:
        return max((package for package in self._packages if f"{name}.".startswith(f"{package}.")), key=len, default="")


def _services(contract: Contract) -> dict[str, list[Service]]:
    found: dict[str, list[Service]] = {}
    for service in contract.services:
        found.setdefault(service.package, []).append(service)
    return found


_Type = Descriptor | EnumDescriptor


def _reached(services: dict[str, list[Service]], packages: list[str]) -> dict[str, tuple[_Type, set[Side]]]:
    """Every message and enum that these packages' methods take or give, and on which side."""
    found: dict[str, tuple[_Type, set[Side]]] = {}
    for method in (method for package in packages for service in services[package] for method in service.methods):
        for side, top in ((Side.REQUEST, method.input), (Side.RESPONSE, method.output)):
            for reached in _below(top):
                found.setdefault(reached.full_name, (reached, set()))[1].add(side)
    return found


def _below(message: _Type) -> Iterator[_Type]:
    """A message and what its fields hold; no message of a contract holds itself."""
    if message.full_name.startswith(_FOREIGN):
        return
    yield message
    for field in message.fields if isinstance(message, Descriptor) else ():
        held = field.message_type or field.enum_type
        yield from _below(held) if held is not None else ()


def _type_changed(was: _Type, is_now: _Type, old: Contract, new: Contract) -> Iterator[ContractChange]:
    if isinstance(was, EnumDescriptor) and isinstance(is_now, EnumDescriptor):
        yield from enum_changed(was, is_now, old, new)
        yield from _commented(
            [f"{was.full_name}.{value.name}" for value in was.values if value.name in is_now.values_by_name],
            old,
            new,
            was.full_name,
        )
    elif isinstance(was, Descriptor) and isinstance(is_now, Descriptor) and not was.GetOptions().map_entry:
        yield from message_changed(was, is_now, old, new)
        yield from _commented(
            [field.full_name for field in was.fields if field.name in is_now.fields_by_name], old, new, was.full_name
        )
    yield from _commented([was.full_name], old, new)


def _described(package: str, old: Contract, new: Contract) -> Iterator[ContractChange]:
    """Changes of what the contract says of itself, its services and their methods."""
    kept = _callable(new)
    yield from _commented([name for name in _callable(old) if name in kept and name.startswith(f"{package}.")], old, new)
    (title, described), (new_title, new_described) = (_said(contract, package) for contract in (old, new))
    if title != new_title:
        yield ContractChange("api", package, f'title and version "{title}" -> "{new_title}"')
    change = comment_changed(described, new_described, package, "", carries_meaning=False)
    yield from [change] if change else []


def _said(contract: Contract, package: str) -> tuple[str, str]:
    """Title and version of a package, and what stands above its files."""
    services = [contract.pool.FindServiceByName(service.full_name) for service in _services(contract)[package]]
    files = {service.file.name: service.file for service in services}
    apis = [contract.options.all_set(file).get("foretell.v1.api") for file in files.values()]
    titles = [f"{api.title} {api.version}".strip() for api in apis if api is not None]
    return ", ".join(titles), "\n".join(map(contract.comment, files))


def _commented_on(contract: Contract, packages: list[str]) -> bool:
    """Whether there are any comments; a descriptor set may have been made without."""
    within = tuple(f"{package}." for package in packages)
    return any(name.startswith(within) for name in contract.comments)


def _callable(contract: Contract) -> list[str]:
    """The names of all services and methods."""
    methods = [method.full_name for service in contract.services for method in service.methods]
    return [service.full_name for service in contract.services] + methods


def _commented(names: Iterable[str], old: Contract, new: Contract, message: str = "") -> Iterator[ContractChange]:
    """Changes of comments; that of a field or value, within its message, says what a number means."""
    for name in names:
        change = comment_changed(old.comment(name), new.comment(name), name, message, carries_meaning=bool(message))
        if change is not None:
            yield change


def _next(package: str) -> str:
    """The package that a new version of this one would be."""
    numbered = re.fullmatch(r"(.*\.v)(\d+)(.*)", package)
    return f"{numbered[1]}{int(numbered[2]) + 1}" if numbered else f"{package}.v2"

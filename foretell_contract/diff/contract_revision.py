"""The contract revision that a model version was made for, and what the served contract breaks of it."""

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.contract import Contract, load_set
from foretell_contract.diff.diff import diff, read_set
from foretell_contract.diff.finding import Finding
from foretell_contract.source.compiler import is_shipped, with_shipped_files


def contract_revision(contract: Contract, model: str) -> bytes:
    """A serialised FileDescriptorSet of the contract's own files, with comments; equal bytes for equal contracts.

    Empty if no service of the contract belongs to `model`.
    """
    if not any(service.model == model for service in contract.services):
        return b""
    files = FileDescriptorSet.FromString(contract.descriptor_set).file
    return FileDescriptorSet(file=[file for file in files if not is_shipped(file.name)]).SerializeToString(deterministic=True)


def breaking_changes(made_for: bytes, served: Contract, model: str) -> list[Finding]:
    """What breaks callers of the revision `made_for` of the services of `model`, if `served` answers them.

    A removed package counts only if no other package of the model is served. Raises ContractError for invalid bytes.
    """
    if not made_for or made_for == contract_revision(served, model):
        return []
    before = load_set(with_shipped_files(read_set(made_for)))
    of_others = {service.package for contract in (before, served) for service in contract.services if service.model != model}
    replaced = any(service.model == model for service in served.services)
    return [
        finding
        for finding in diff(before, served)
        if finding.breaks and finding.package not in of_others and not (replaced and finding.rule == "package.removed")
    ]

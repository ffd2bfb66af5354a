"""The contract that a model was made for, and whether its callers can be served under another one."""

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.contract import Contract, load_set
from foretell_contract.diff.diff import diff, read_set
from foretell_contract.diff.finding import Finding
from foretell_contract.source.compiler import is_shipped, with_shipped_files


def contract_revision(contract: Contract, model: str) -> bytes:
    """What tells this contract from other revisions of it: a FileDescriptorSet of its own files, with comments.

    Empty where no service of the contract is one of `model`.
    """
    if not any(service.model == model for service in contract.services):
        return b""
    files = FileDescriptorSet.FromString(contract.descriptor_set).file
    return FileDescriptorSet(file=[file for file in files if not is_shipped(file.name)]).SerializeToString(deterministic=True)


def breaking_changes(made_for: bytes, served: Contract, model: str) -> list[Finding]:
    """What breaks callers of the revision `made_for` of a model's contract where `served` is what they meet.

    A package that is gone breaks nothing where another one of the model is served. Raises ContractError for bytes that are none.
    """
    if not made_for or made_for == contract_revision(served, model):
        return []
    before = load_set(with_shipped_files(read_set(made_for)))
    foreign = {service.package for contract in (before, served) for service in contract.services if service.model != model}
    renewed = any(service.model == model for service in served.services)
    return [
        finding
        for finding in diff(before, served)
        if finding.breaks and finding.package not in foreign and not (renewed and finding.rule == "package.removed")
    ]

"""What callers download of a contract, to generate clients from it."""

import io
import zipfile
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.contract import Contract
from foretell_contract.source.compiler import ALWAYS
from foretell_contract.source.descriptor_text import descriptor_text
from foretell_contract.source.imports import WELL_KNOWN, with_imports
from foretell_contract.source.plain_form import ERROR_DETAILS, plain_form


@dataclass(frozen=True, slots=True)
class Downloads:
    """The forms in which callers get a contract."""

    files: tuple[str, ...]
    """Names of the `.proto` files: contracts, then their imports and the details of errors, but not google.protobuf."""
    descriptor_set: bytes
    """A serialised FileDescriptorSet of the same files and google.protobuf, with comments."""
    plain_set: bytes
    """A serialised FileDescriptorSet of the plain form; see plain_form."""
    plain_archive: bytes
    """A ZIP file with the text of the plain form."""


def downloads(contract: Contract) -> Downloads:
    """The downloads of the contract's services; takes about 30 ms."""
    compiled = FileDescriptorSet.FromString(contract.descriptor_set)
    services = list(dict.fromkeys(service.file for service in contract.services))
    whole = with_imports({file.name: file for file in compiled.file}, (*services, *ALWAYS))
    texts = contract.sources | contract.imports
    names = sorted((file.name for file in whole.file if file.name in texts), key=lambda name: name not in contract.sources)
    plain = plain_form(whole, services)
    return Downloads(tuple(names), whole.SerializeToString(), plain.SerializeToString(), _archive(plain, contract))


def _archive(plain: FileDescriptorSet, contract: Contract) -> bytes:
    """The same contract gives the same bytes. The details of errors are Google's own files, with their licence."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for file in plain.file:
            if not file.name.startswith(WELL_KNOWN):
                text = contract.imports.get(file.name) if file.name in ERROR_DETAILS else None
                entry = zipfile.ZipInfo(file.name)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, text or descriptor_text(file), zipfile.ZIP_DEFLATED)
    return data.getvalue()

"""What callers download of a contract, to generate clients from it."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.contract import Contract
from foretell_contract.source.compiler import ALWAYS, compile_texts
from foretell_contract.source.imports import with_imports
from foretell_contract.source.plain_form import plain_form


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
    """The downloads of the contract's services; takes about 0.2 s."""
    compiled = FileDescriptorSet.FromString(contract.descriptor_set)
    services = list(dict.fromkeys(service.file for service in contract.services))
    whole = with_imports({file.name: file for file in compiled.file}, (*services, *ALWAYS))
    texts = contract.sources | contract.imports
    names = sorted((file.name for file in whole.file if file.name in texts), key=lambda name: name not in contract.sources)
    plain = plain_form(whole, texts, services)
    return Downloads(tuple(names), whole.SerializeToString(), compile_texts(plain).SerializeToString(), _archive(plain))


def _archive(texts: Mapping[str, str]) -> bytes:
    """The same texts give the same bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in texts.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return data.getvalue()

"""Updates the contract of a model that was trained again.

Foretell owns the sentence "Seen in training: ...", the bounds that follow from it, and examples that the new bounds would refuse.
New columns, classes and categories are appended, and lost ones reserved. Everything else belongs to the author and stays.
"""

from pathlib import Path

from foretell.init.contract_edit import ContractEdit
from foretell.init.draft_response import ResponseDraft
from foretell.init.update_features import FeaturesUpdate
from foretell.init.update_response import ResponseUpdate
from foretell_contract.contract import Contract
from foretell_contract.service import Service
from foretell_contract.source.edit_file import FileEdit
from grpc_server.checks.inspect_model import ModelDescription


def updated_contract(
    file: Path,
    contract: Contract,
    service: Service,
    model: ModelDescription,
    draft: ResponseDraft,
    class_names: dict[str, str],
    *,
    tighten: bool,
) -> tuple[str, list[str]]:
    """The updated text of a contract file, and notes for its author.

    `draft` is the response of a new contract, `class_names` as in `ResponseDraft`; `tighten` lets bounds shrink to the new data.
    Raises SetupError for a change that this contract cannot hold.
    """
    edit = ContractEdit(FileEdit.of(file), contract)
    features = FeaturesUpdate(edit, contract, service.methods[0].features, model, tighten=tighten)
    response = ResponseUpdate(edit, contract, service.methods[0].answer, model)
    features.update()
    response.update(draft, class_names)
    return edit.file.result, features.notes + response.notes

"""Makes a folder of contracts complete, so that buf and protoc read it as it is."""

import shutil
from pathlib import Path

from foretell_contract.errors import ContractError
from foretell_contract.source.compiler import IMPORTED, SHIPPED

_BUF_YAML = """\
version: v2
lint:
  use:
    - STANDARD
  except:
    # Rows are requests and answers themselves: one name for REST bodies, batches and streams alike.
    - RPC_REQUEST_STANDARD_NAME
    - RPC_RESPONSE_STANDARD_NAME
    - RPC_REQUEST_RESPONSE_UNIQUE
  ignore:
    - buf
    - foretell
    - google
"""


def vendor_imports(root: Path) -> None:
    """Copy what contracts import into `root`, and write a `buf.yaml` unless `root` or a folder around it has one.

    Folders that exist stay as they are. Raises ContractError if a file cannot be written.
    """
    try:
        for folder in IMPORTED:
            if not (root / folder).exists():
                shutil.copytree(SHIPPED / folder, root / folder)
        if not any((folder / "buf.yaml").exists() for folder in (root, *root.resolve().parents)):
            (root / "buf.yaml").write_text(_BUF_YAML)
    except OSError as error:
        raise ContractError(f"cannot write the imports under {root}: {error.strerror}") from None

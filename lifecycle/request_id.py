"""The identity of a call, the same on every door and in every log."""

import re
import secrets

_PRINTABLE = re.compile(r"[\x21-\x7e]{1,128}")


def request_id(given: str | bytes | None) -> str:
    """The caller's own id where it is 1 to 128 printable ASCII characters, else a new one."""
    if isinstance(given, str) and _PRINTABLE.fullmatch(given):
        return given
    return secrets.token_hex(8)

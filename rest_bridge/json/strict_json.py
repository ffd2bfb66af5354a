"""JSON text to a document, strictly: what RFC 8259 leaves open is refused."""

import json
from collections import Counter
from typing import Any

from rest_bridge.json.request_problems import RequestRefused, refused


class Repeated(dict[str, Any]):
    """An object in which names occur more than once."""

    names: tuple[str, ...] = ()


def read_document(body: bytes) -> Any:
    """The document that the body holds; an object with repeated names is a Repeated.

    Raises Refused where the body is not UTF-8, not JSON, nested too deeply, or holds NaN or Infinity.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"the body is not UTF-8: byte {error.start}") from None
    try:
        document = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise _invalid(f"it ends or goes wrong at character {error.pos}") from None
    except RecursionError:
        raise _invalid("nested too deeply") from None
    except ValueError:  # The interpreter's limit on the digits of an integer.
        raise _invalid("a number has too many digits") from None
    return document


def _invalid(why: str) -> RequestRefused:
    return refused(422, "json_invalid", f"the body is not JSON: {why}", ["body"])


def _no_constant(name: str) -> Any:
    raise _invalid(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = Repeated(found)
    repeated.names = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return repeated

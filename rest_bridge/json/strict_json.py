"""Parses JSON strictly: refuses what RFC 8259 leaves to the implementation."""

import json
from collections import Counter
from typing import Any

from rest_bridge.json.request_problems import RequestRefused, refusal


class RepeatedNames(dict[str, Any]):
    """An object with names that occur more than once."""

    names: tuple[str, ...] = ()


def read_document(body: bytes) -> Any:
    """The document in the body; an object with repeated names becomes a RepeatedNames.

    Raises RequestRefused if the body is not UTF-8, not JSON, nested too deeply, or contains NaN or Infinity.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"the body is not UTF-8: byte {error.start}") from None
    try:
        document = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise _invalid(f"it is malformed or cut off at character {error.pos}") from None
    except RecursionError:
        raise _invalid("nested too deeply") from None
    except ValueError:  # The integer has more digits than sys.get_int_max_str_digits().
        raise _invalid("a number has too many digits") from None
    return document


def _invalid(why: str) -> RequestRefused:
    return refusal(422, "json_invalid", f"the body is not JSON: {why}", ["body"])


def _refuse_constant(name: str) -> Any:
    raise _invalid(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    repeated = RepeatedNames(document)
    repeated.names = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return repeated

"""What each kind of change means for callers: the table behind `foretell diff`."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from foretell_contract.diff.finding import Impact, Side

_VERSION = "serve the new contract as {next} beside {package}"
_DEPRECATE = "keep it and mark it deprecated; or " + _VERSION
_KEEP_NAME = "keep the name; or " + _VERSION
_KEEP_NUMBER = "keep the number; or " + _VERSION


@dataclass(frozen=True, slots=True)
class Consequence:
    """Impact of a kind of change on one side, the reason, and an alternative; empty if nothing needs to be done."""

    impact: Impact
    reason: str
    alternative: str = _VERSION


def consequence(rule: str, sides: Iterable[Side]) -> Consequence:
    """The worst consequence of a kind of change on these sides; without a side, the one for requests."""
    request, response = CONSEQUENCES[rule]
    candidates = [request if side is Side.REQUEST else response for side in sorted(sides, key=lambda side: side.value)]
    return max(candidates or [request], key=lambda candidate: candidate.impact.severity)


def _both(found: Consequence) -> tuple[Consequence, Consequence]:
    return found, found


_safe = partial(Consequence, Impact.SAFE, alternative="")
_warning = partial(Consequence, Impact.WARNING, alternative="")
_breaking = partial(Consequence, Impact.BREAKING)
_new_version = partial(Consequence, Impact.NEW_VERSION)

_REMOVED = _both(_breaking("its callers get UNIMPLEMENTED, and 404 over REST", "keep it, and mark it deprecated"))
_NOT_CALLED = _both(_safe("nobody calls it yet"))
_DOCS_ONLY = _both(_safe("only the docs change"))
_REFUSED = _breaking("requests that were accepted are now refused")
_VALUES_REFUSED = _breaking("values that were accepted are now refused")
_RULES_KEPT = _safe("answers still keep the old rules")
_RULES_LOST = _breaking("answers may now break rules that callers rely on")
_ACCEPTED = _safe("every request that was accepted still is")
_UNPROVEN = _breaking("it is not certain that every request that was accepted still is")
_ANSWERS_UNPROVEN = _breaking("it is not certain that answers still keep the old rules")
_LABEL_REFUSED = _breaking("callers that write the old label in JSON are refused", "keep the label; or " + _VERSION)
_OMITTED = _breaking("callers that omit it are now refused")
_READS_AS_ZERO = _breaking("a missing value now reads as 0")
_ZERO_READS_AS_MISSING = _breaking("callers with older stubs do not send 0, which now counts as missing")
_ZERO_REFUSED = _breaking("a real 0 is now refused as missing")
_MAY_BE_ZERO = _breaking("it may now be 0")
_MAY_BE_MISSING = _breaking("it may now be missing")
_IGNORED = _safe("callers that do not know it ignore it")
_ALWAYS_THERE = _safe("every answer now has it")

CONSEQUENCES: dict[str, tuple[Consequence, Consequence]] = {  # By id of the change: in requests, and in responses.
    # Packages, services, methods.
    "package.added": _NOT_CALLED,
    "package.removed": _both(
        _breaking("its callers get UNIMPLEMENTED, and 404 over REST", "serve both until nobody calls {package}")
    ),
    "service.added": _NOT_CALLED,
    "service.removed": _REMOVED,
    "service.model": _both(_warning("another model may answer the same request differently; only its author can tell")),
    "method.added": _NOT_CALLED,
    "method.removed": _REMOVED,
    "method.input": _both(_new_version("callers send the old message")),
    "method.output": _both(_new_version("callers expect the old message")),
    "method.shape": _both(_new_version("callers use the old shape", "add a method of the new shape beside this one")),
    "method.path.added": _both(_safe("the other paths still answer")),
    "method.path.removed": _both(
        _breaking("REST callers of that path get 404", "keep it as one of the additional_bindings of google.api.http")
    ),
    "method.idempotency.weaker": _both(_breaking("callers may still retry calls that are no longer safe to retry")),
    "method.idempotency.stronger": _both(_safe("callers may now retry")),
    "deprecated": _both(_safe("it still answers; callers should migrate")),
    "undeprecated": _both(_safe("callers need not migrate")),
    # Fields.
    "field.removed": (
        _breaking("callers that send it are refused", _DEPRECATE),
        _breaking("callers that read it find no value", _DEPRECATE),
    ),
    "field.number.free": _both(
        _warning("a later field could reuse the number, and old callers would misread it", alternative="reserve the number")
    ),
    "field.number.reused": _both(_new_version("values of old callers are misread", "give the new field an unused number")),
    "field.renamed": (
        _breaking("JSON with the old name is refused, and code that uses the old name no longer compiles", _KEEP_NAME),
        _breaking("JSON no longer has the old name, and code that uses it no longer compiles", _KEEP_NAME),
    ),
    "field.renumbered": _both(_new_version("old callers encode it under the old number", _KEEP_NUMBER)),
    "field.type": _both(_new_version("old callers encode the old type", "add a field beside it; or " + _VERSION)),
    "field.json_name": _both(_breaking("its name in JSON changes", _KEEP_NAME)),
    "field.oneof": _both(_new_version("of several fields in a oneof, only the last one sent counts")),
    "field.added": (_safe("callers may omit it"), _IGNORED),
    "field.added.required": (_breaking("callers that do not know it are refused", "make it optional; or " + _VERSION), _IGNORED),
    "field.added.oneof": (
        _safe("callers may keep using the other fields"),
        _breaking("callers that switch on the oneof do not know it"),
    ),
    "field.column": _both(_breaking("the value feeds another column of the model, so the same request gets another answer")),
    "field.output": _both(_breaking("it holds another output of the model, so the same request gets another answer")),
    "field.unit": _both(_breaking("the same number now stands for another amount")),
    "field.unit.documented": _DOCS_ONLY,
    "field.option": _both(_warning("what this option means for callers is unknown")),
    # Presence, old and new. Plain: a missing value reads as 0. Nonzero: plain and `required`.
    "presence.plain.nonzero": (_ZERO_REFUSED, _RULES_KEPT),
    "presence.plain.optional": (_ZERO_READS_AS_MISSING, _MAY_BE_MISSING),
    "presence.plain.required": (_OMITTED, _ALWAYS_THERE),
    "presence.nonzero.plain": (_ACCEPTED, _MAY_BE_ZERO),
    "presence.nonzero.optional": (_ACCEPTED, _MAY_BE_MISSING),
    "presence.nonzero.required": (_ACCEPTED, _MAY_BE_ZERO),
    "presence.optional.plain": (_READS_AS_ZERO, _READS_AS_ZERO),
    "presence.optional.nonzero": (_OMITTED, _ALWAYS_THERE),
    "presence.optional.required": (_OMITTED, _ALWAYS_THERE),
    "presence.required.plain": (
        _warning("every request that was accepted still is, but a missing value now reads as 0", alternative="keep it `optional`"),
        _breaking("callers with older stubs read a 0 as missing"),
    ),
    "presence.required.nonzero": (_ZERO_REFUSED, _RULES_KEPT),
    "presence.required.optional": (_safe("callers may now omit it"), _MAY_BE_MISSING),
    # Standard rules, by the values that they accept now and before.
    "values.same": _both(_safe("the same values are accepted")),
    "values.narrower": (_VALUES_REFUSED, _RULES_KEPT),
    "values.wider": (_ACCEPTED, _RULES_LOST),
    "values.apart": (_VALUES_REFUSED, _RULES_LOST),
    "values.unproven": (_UNPROVEN, _ANSWERS_UNPROVEN),
    # CEL rules, and rules on oneofs.
    "rule.added": (_REFUSED, _RULES_KEPT),
    "rule.removed": (_ACCEPTED, _RULES_LOST),
    "rule.changed": (_UNPROVEN, _ANSWERS_UNPROVEN),
    "rule.id": _both(_warning("callers that check the id of a violation see another one", alternative="keep the id")),
    "rule.words": _both(_safe("only the text of the violation changes")),
    "example": _DOCS_ONLY,
    # Enums.
    "value.added": (_safe("callers need not send it"), _breaking("callers that switch on the values do not know it")),
    "value.removed": (
        _breaking("callers that send it are refused, or read as another value", _DEPRECATE),
        _safe("answers no longer contain it; new stubs lack its name"),
    ),
    "value.renamed": _both(_breaking("its name in JSON changes, and code that uses the old name no longer compiles", _KEEP_NAME)),
    "value.renumbered": _both(_new_version("old callers encode the old number", _KEEP_NUMBER)),
    "value.label.spelling": (_LABEL_REFUSED, _DOCS_ONLY[1]),
    "value.label": (
        _LABEL_REFUSED,
        _warning("it stands for another label of the model; only the author can tell whether it means the same"),
    ),
    # Comments and titles.
    "comment.quantities": _both(_warning("it may mean another unit or range; only the author can tell")),
    "comment.meaning": _both(_warning("it may mean something else; only the author can tell")),
    "comment.words": _DOCS_ONLY,
    "api": _DOCS_ONLY,
}

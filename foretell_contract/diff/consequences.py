"""What each kind of change means: the one table that `foretell diff` judges by."""

from collections.abc import Iterable
from dataclasses import dataclass

from foretell_contract.diff.finding import Impact, Side

_VERSION = "serve the new one as {next} beside {package}"


@dataclass(frozen=True, slots=True)
class Consequence:
    """An impact with its reason, and the way out where there is one."""

    impact: Impact
    reason: str
    alternative: str = ""


def consequence(rule: str, sides: Iterable[Side]) -> Consequence:
    """The worst that a kind of change means on these sides."""
    request, response = CONSEQUENCES[rule]
    judged = [request if side is Side.REQUEST else response for side in sorted(sides, key=lambda side: side.value)]
    return max(judged or [request], key=lambda found: found.impact.severity)


def _safe(reason: str) -> Consequence:
    return Consequence(Impact.SAFE, reason)


def _warning(reason: str, alternative: str = "") -> Consequence:
    return Consequence(Impact.WARNING, reason, alternative)


def _breaking(reason: str, alternative: str = _VERSION) -> Consequence:
    return Consequence(Impact.BREAKING, reason, alternative)


def _apart(reason: str, alternative: str = _VERSION) -> Consequence:
    return Consequence(Impact.NEW_VERSION, reason, alternative)


def _both(found: Consequence) -> tuple[Consequence, Consequence]:
    return found, found


_REFUSED = _breaking("calls that were accepted are refused now")
_PROMISE_KEPT = _safe("answers keep what was promised")
_PROMISE_LOST = _breaking("answers may now be what callers could rely on never to get")
_ACCEPTED = _safe("everything that was accepted still is")
_UNPROVEN = _breaking("it cannot be proven that everything accepted before still is")
_LEFT_OUT = _breaking("callers that leave it out are refused now")
_NONE_FOR_ZERO = _breaking("what was missing is taken for 0 now")
_ZERO_FOR_NONE = _breaking("callers with older stubs do not send 0, and that is missing now, not 0")
_ZERO_REFUSED = _breaking("a real 0 is refused as missing now")
_MAY_BE_ZERO = _breaking("it may be 0 now")
_MAY_BE_MISSING = _breaking("it may be missing now")
_ALWAYS_THERE = _safe("it is there in every answer")

CONSEQUENCES: dict[str, tuple[Consequence, Consequence]] = {
    # Packages, services, methods.
    "package.added": _both(_safe("nobody calls it yet")),
    "package.removed": _both(_breaking("nothing answers its callers any more", "serve both until nobody calls {package}")),
    "service.added": _both(_safe("nobody calls it yet")),
    "service.removed": _both(_breaking("its callers get UNIMPLEMENTED, and 404 over REST", "keep it, and mark it deprecated")),
    "service.model": _both(_warning("another model gives other answers to the same question: only its author can tell how far")),
    "method.added": _both(_safe("nobody calls it yet")),
    "method.removed": _both(_breaking("its callers get UNIMPLEMENTED, and 404 over REST", "keep it, and mark it deprecated")),
    "method.input": _both(_apart("callers send another message")),
    "method.output": _both(_apart("callers expect another message")),
    "method.shape": _both(_apart("rows travel in another way", "add a method of the new shape beside this one")),
    "method.path.added": _both(_safe("the other paths still answer")),
    "method.path.removed": _both(
        _breaking("REST callers of that path get 404", "keep it among the additional_bindings of google.api.http")
    ),
    "method.idempotency.weaker": _both(_breaking("callers may repeat calls that they should not repeat any more")),
    "method.idempotency.stronger": _both(_safe("callers may now repeat what they did not dare to repeat")),
    "deprecated": _both(_safe("it still answers; callers should move on")),
    "undeprecated": _both(_safe("callers may stay")),
    # Fields.
    "field.removed": (
        _breaking("callers that send it are refused", "keep it, marked deprecated; or " + _VERSION),
        _breaking("callers that read it find nothing", "keep it, marked deprecated; or " + _VERSION),
    ),
    "field.number.free": _both(_warning("a later field could take that number and be misread by old callers", "reserve it")),
    "field.number.reused": _both(_apart("old callers' values are misread", "give the new field a number of its own")),
    "field.renamed": (
        _breaking("JSON that names it as before is refused, and stubs no longer compile", "keep the name; or " + _VERSION),
        _breaking("JSON no longer has the old name, and stubs no longer compile", "keep the name; or " + _VERSION),
    ),
    "field.renumbered": _both(_apart("old callers' bytes hold it under the old number", "keep the number; or " + _VERSION)),
    "field.type": _both(_apart("old callers' bytes hold another type", "add a field beside it; or " + _VERSION)),
    "field.json_name": _both(_breaking("it has another name in JSON", "keep the name; or " + _VERSION)),
    "field.oneof": _both(_apart("of a oneof only the last field that is sent counts")),
    "field.added": (_safe("callers may leave it out"), _safe("callers that do not know it pass over it")),
    "field.added.required": (
        _breaking("callers that do not know it are refused", "make it optional; or " + _VERSION),
        _safe("callers that do not know it pass over it"),
    ),
    "field.added.oneof": (
        _safe("callers may go on with the other fields"),
        _breaking("callers that tell the fields of the oneof apart do not know it"),
    ),
    "field.column": _both(_breaking("another column of the model gets the value: another answer to the same question")),
    "field.output": _both(_breaking("it holds something else: another answer to the same question")),
    "field.option": _both(_warning("what that means for callers is not known here")),
    # Presence, from one to the other. Plain: a missing value is 0. Nonzero: plain and `required`.
    "presence.plain.nonzero": (_ZERO_REFUSED, _PROMISE_KEPT),
    "presence.plain.optional": (_ZERO_FOR_NONE, _MAY_BE_MISSING),
    "presence.plain.required": (_LEFT_OUT, _ALWAYS_THERE),
    "presence.nonzero.plain": (_ACCEPTED, _MAY_BE_ZERO),
    "presence.nonzero.optional": (_ACCEPTED, _MAY_BE_MISSING),
    "presence.nonzero.required": (_ACCEPTED, _MAY_BE_ZERO),
    "presence.optional.plain": (_NONE_FOR_ZERO, _NONE_FOR_ZERO),
    "presence.optional.nonzero": (_LEFT_OUT, _ALWAYS_THERE),
    "presence.optional.required": (_LEFT_OUT, _ALWAYS_THERE),
    "presence.required.plain": (
        _warning("everything that was accepted still is, but a missing value is taken for 0", "keep it `optional`"),
        _breaking("a 0 looks missing to callers with older stubs"),
    ),
    "presence.required.nonzero": (_ZERO_REFUSED, _PROMISE_KEPT),
    "presence.required.optional": (_safe("callers may leave it out now"), _MAY_BE_MISSING),
    # Rules on values, by what they accept: less, more, the same, or nobody knows.
    "values.same": _both(_safe("the same values are accepted")),
    "values.narrower": (_breaking("values that were accepted are refused now"), _PROMISE_KEPT),
    "values.wider": (_ACCEPTED, _PROMISE_LOST),
    "values.apart": (_breaking("values that were accepted are refused now"), _PROMISE_LOST),
    "values.unproven": (_UNPROVEN, _breaking("it cannot be proven that answers keep what was promised")),
    # Rules in CEL, and rules on oneofs.
    "rule.added": (_REFUSED, _PROMISE_KEPT),
    "rule.removed": (_ACCEPTED, _PROMISE_LOST),
    "rule.changed": (_UNPROVEN, _breaking("it cannot be proven that answers keep what was promised")),
    "rule.id": _both(_warning("callers that tell refusals apart by it see another one", "keep the id")),
    "rule.words": _both(_safe("only the words of the refusal change")),
    "example": _both(_safe("only the docs change")),
    # Enums.
    "value.added": (_safe("callers need not send it"), _breaking("callers that tell the values apart do not know it")),
    "value.removed": (
        _breaking("callers that send it are refused, or taken for another", "keep it, marked deprecated; or " + _VERSION),
        _safe("it is never answered any more; stubs lose its name"),
    ),
    "value.renamed": _both(_breaking("JSON has another name for it, and stubs no longer compile", "keep the name; or " + _VERSION)),
    "value.renumbered": _both(_apart("old callers' bytes hold the old number", "keep the number; or " + _VERSION)),
    "value.label": (
        _warning("the model is told another label: only its author can tell whether it means the same"),
        _warning("it stands for another label of the model: only its author can tell whether it means the same"),
    ),
    # Words.
    "comment.quantities": _both(_warning("another unit or range may be meant: only its author can tell")),
    "comment.meaning": _both(_warning("whether it means something else only its author can tell")),
    "comment.words": _both(_safe("only the docs change")),
    "api": _both(_safe("only the docs change")),
}

"""Finds changes of comments. A change of numbers or units in them is reported apart: it often means another scale."""

import re
from collections import Counter
from collections.abc import Iterator

from foretell_contract.diff.finding import ContractChange

_NUMBER = r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?"
_UNIT = r"""
    %|°[cf]?
    |(?:micro|milli|centi|kilo|mega)?(?:met(?:re|er)|gram|lit(?:re|er)|second|watt|volt|ampere|joule|hertz|pascal|byte|bit)s?
    |[µmck]m|[µmk]g|ml|[nµm]s|[mk][wvaj]|kwh|[kmg]?hz|h?pa|[kmg]b|bar|psi|(?<=\d)\ ?[mglshkvwajn]
    |inch(?:es)?|foot|feet|ft|yards?|miles?|tonnes?|pounds?|lbs?|ounces?|oz|gallons?
    |minutes?|hours?|days?|weeks?|months?|years?|utc
    |celsius|fahrenheit|kelvin|degrees?|radians?
    |percent(?:age)?|fraction|ratio|log(?:arithm)?|scaled|normali[sz]ed|standardi[sz]ed
    |dollars?|usd|euros?|eur|cents?|gbp
"""
_QUANTITY = re.compile(rf"(?<![\w.])(?:{_NUMBER}|{_UNIT})(?!\w)|{_NUMBER}|(?<=\d)(?:{_UNIT})(?!\w)", re.VERBOSE)


def comment_changed(old: str, new: str, name: str, message: str = "") -> Iterator[ContractChange]:
    """A change of one comment, unless only line breaks differ. With a `message`, the comment says what a value in it means."""
    if old.split() == new.split():
        return
    before, after = (Counter(map(str.strip, _QUANTITY.findall(text.lower()))) for text in (old, new))
    if old and new and before != after:
        removed, added = (", ".join((a - b).elements()) or "none" for a, b in ((before, after), (after, before)))
        yield ContractChange("comment.quantities", name, f"numbers or units in the comment: {removed} -> {added}", message)
    else:
        what = "comment reworded" if old and new else "comment added" if new else "comment removed"
        yield ContractChange("comment.meaning" if message and old and new else "comment.words", name, what, message)

"""What changed in the comments, as far as a program can tell.

A program does not know what a sentence means. It sees numbers and words for units, and a change of those is a strong hint.
"""

import re
from collections import Counter

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


def comment_changed(old: str, new: str, name: str, message: str, *, carries_meaning: bool) -> ContractChange | None:
    """What became of a comment; None where at most its line breaks moved."""
    if old.split() == new.split():
        return None
    before, after = (Counter(map(str.strip, _QUANTITY.findall(text.lower()))) for text in (old, new))
    if old and new and before != after:
        gone, come = (", ".join((a - b).elements()) or "none" for a, b in ((before, after), (after, before)))
        return ContractChange("comment.quantities", name, f"numbers or units in the comment: {gone} -> {come}", message)
    what = "comment reworded" if old and new else "comment added" if new else "comment removed"
    return ContractChange("comment.meaning" if carries_meaning and old and new else "comment.words", name, what, message)

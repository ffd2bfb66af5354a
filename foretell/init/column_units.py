"""The units that names of columns state plainly: `length (cm)`, `price [EUR]`, `площадь, м²`, `weight_kg`."""

import re

# Without abbreviations that stand for other words too, such as min, K and t.
_UNIT = (
    r"(?:[cmknµμ]?m|ft|mi|[kmµμ]?g|lb|m?[lL]|[mµμ]?s|[kMG]?Hz|[kM]?W|[kM]Wh|[kM]J|kcal|[hk]?Pa|m[VA]|°[CF]?|%|‰|ppm|dB|mol"
    r"|EUR|USD|GBP|CHF|JPY|€|\$|£|[смк]?м|кг|м?л|руб|₽)(?:[²³]|\^?[23])?"  # noqa: RUF001  # Units in Russian.
)
_AT_THE_END = re.compile(rf".*\w(?: \(| \[|, )({_UNIT}(?:/(?:{_UNIT}|h|d|ч))?)[)\]]?\s*")
_SUFFIXES = {
    unit.lower(): unit for unit in ("cm", "mm", "km", "kg", "mg", "ms", "Hz", "kW", "kWh", "hPa", "EUR", "USD", "GBP", "CHF")
}
_SUFFIXES |= {"celsius": "°C", "fahrenheit": "°F", "seconds": "s", "minutes": "min", "hours": "h"}
_SUFFIX = re.compile(rf"\w*[^\W_]{{2}}(?<!per)_({'|'.join(_SUFFIXES)})", re.IGNORECASE)
"""Not behind `per` or a single letter, as in `price_per_kg` and `load_g_cm`."""

_TRANSFORMED = re.compile(r"(?<![a-z])(log|ln|sqrt|exp|scaled|normali[sz]ed|rank|z)(?![a-z])", re.IGNORECASE)


def column_unit(name: str, *, is_flag: bool) -> str:
    """The unit in the name of a column of numbers; empty if it is not certain. `is_flag` is whether all are 0 or 1.

    A flag such as `currency_EUR` has no unit, but the name of a category behind its underscore.
    """
    stated, suffix = _AT_THE_END.fullmatch(name), _SUFFIX.fullmatch(name)
    if _TRANSFORMED.search(name) or not (stated or (suffix and not is_flag)):
        return ""
    return stated[1] if stated else _SUFFIXES[suffix[1].lower()] if suffix else ""

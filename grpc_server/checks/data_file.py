"""Reads a file of training data with pandas, CSV in any dialect or Parquet, and says how it was read."""

import codecs
import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Dtype

_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
_SEPARATORS = ",;\t|"
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Encodings by the mark with which their files begin; the mark of utf-32 begins with that of utf-16."""

_CODE_PAGES = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "euc_kr"]
_HEAD = 2**18
"""Bytes from which the dialect is found."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_MISSING = frozenset(
    "|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null".split("|")  # noqa: SIM905  # A list takes a line for each.
)
"""The texts that `pandas.read_csv` reads as a missing value."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of training data; an empty separator, decimal or encoding of a CSV file is found from its content."""

    path: Path
    separator: str = ""
    decimal: str = ""
    encoding: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class _Dialect:
    separator: str
    encoding: str
    header: tuple[str, ...] = ()
    decimal: str = "."
    skip: int = 0
    """Lines before the header."""
    index: bool = False
    """Whether rows begin with a value more than the header has names."""


def read_frame(file: DataFile, columns: Collection[str], known: Mapping[str, Dtype]) -> tuple[Any, list[str]]:
    """The data frame in a file, and notes on how it was read. The model knows the names of its columns, or some types of them.

    Raises ModelError for a file that cannot be read, and if a library is not installed.
    """
    if file.path.suffix not in _SUFFIXES:
        raise ModelError(f"{file.name} is none of {', '.join(_SUFFIXES)}")
    try:
        return (_parquet(file, columns, known), []) if file.path.suffix == ".parquet" else _csv(file, columns, known)
    except ModuleNotFoundError:
        raise ModelError("reading training data needs pandas: pip install 'foretell[frames]'") from None
    except ImportError:
        raise ModelError("reading Parquet needs pyarrow: pip install 'foretell[parquet]'") from None
    except OSError as error:
        raise ModelError(f"cannot read {file.path}: {error.strerror or 'it is damaged'}") from None
    except UnicodeError:
        raise ModelError(f"{file.name} is not written in {file.encoding}: leave out --encoding, or pass the right one") from None
    except LookupError:
        raise ModelError(f"{file.encoding!r} is no encoding that Python knows: pass one such as --encoding cp1252") from None
    except (ValueError, TypeError, ArithmeticError) as error:  # Parser errors are ValueErrors, pyarrow's too.
        ragged = _RAGGED.search(str(error))
        if ragged:
            reason = f"{file.name} has {ragged[3]} values in line {ragged[2]}, but {ragged[1]} in the lines before"
            raise ModelError(reason, "quote values that hold the separator, or pass another one as --sep") from None
        raise ModelError(f"{file.name} cannot be read: {' '.join(str(error).split())[:200]}") from None


def _parquet(file: DataFile, columns: Collection[str], known: Mapping[str, Dtype]) -> Any:
    import pandas as pd

    frame = pd.read_parquet(file.path)
    frame = frame.rename(columns=_underscored(frame.columns, columns))
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ModelError(f"{file.name} has two columns {twice[0]!r}: rename one")
    rounded = [name for name in _wide_integers(known) if name in frame and frame[name].dtype.kind == "f"]
    if rounded:  # pandas makes floats of integers if some are missing.
        exact = pd.read_parquet(file.path, columns=rounded, dtype_backend="numpy_nullable")
        frame = frame.assign(**{name: exact[name] for name in rounded})
    return frame


def _wide_integers(known: Mapping[str, Dtype]) -> dict[str, str]:
    """The nullable type of each column whose integers float64 cannot hold."""
    return {name: dtype.name.replace("ui", "UI").replace("int", "Int") for name, dtype in known.items() if "int64" in dtype.name}


def _csv(file: DataFile, columns: Collection[str], known: Mapping[str, Dtype]) -> tuple[Any, list[str]]:
    dialect = _dialect(file, columns)
    twice = [
        name for name, count in Counter(dialect.header).items() if count > 1 and name in columns and f"{name}.1" not in columns
    ]
    if twice:
        raise ModelError(f"{file.name} has two columns {twice[0]!r}: rename one")
    renamed = _underscored(dialect.header, columns)
    in_file = {name: header for header, name in renamed.items()}
    known = {in_file.get(name, name): dtype for name, dtype in known.items()}
    texts = {name: "str" for name, dtype in known.items() if dtype.is_text and name in dialect.header}
    integers = {name: kind for name, kind in _wide_integers(known).items() if name in dialect.header}
    try:
        frame = _read_csv(file, dialect, known, texts | integers)
    except ValueError:
        if not integers:
            raise
        frame = _read_csv(file, dialect, known, texts)
    doubtful = [name for name in frame.columns if _is_doubtful(frame[name])]
    if doubtful:
        frame = frame.assign(**_read_csv(file, dialect, known, texts, usecols=doubtful, low_memory=False))
    frame = frame.rename(columns=renamed)
    return frame, [*_dialect_note(file, dialect), *_index_note(file, frame, dialect, columns)]


def _underscored(header: Iterable[str], columns: Collection[str]) -> dict[str, str]:
    """The model's name of each column of the data whose spaces are underscores there: LightGBM so changes the names."""
    names = [str(name) for name in header]
    return {name: each for name in names if (each := name.replace(" ", "_")) in columns and each not in names}


def _read_csv(file: DataFile, dialect: _Dialect, known: Mapping[str, Dtype], dtypes: dict[str, str], **options: Any) -> Any:
    import pandas as pd

    options |= {"sep": dialect.separator, "decimal": dialect.decimal, "encoding": dialect.encoding, "skiprows": dialect.skip}
    categories = {name: {str(each) for each in dtype.categories} & _MISSING for name, dtype in known.items()}
    if any(categories.values()):
        missing = {name: list(_MISSING - categories.get(name, set())) for name in dialect.header}
        options |= {"keep_default_na": False, "na_values": missing}
    return pd.read_csv(file.path, dtype=dtypes, index_col=None if dialect.index else False, **options)


def _is_doubtful(column: Any) -> bool:
    """Whether pandas, which reads long files in parts, may have given parts of the column different types."""
    import pandas as pd

    if column.dtype == object:
        return bool(pd.api.types.infer_dtype(column).startswith("mixed"))
    return bool(column.dtype.kind == "f" and column.abs().max() >= 2**63)


def _dialect_note(file: DataFile, dialect: _Dialect) -> list[str]:
    found = [] if file.separator or dialect.separator == "," else [f"--sep {dialect.separator!r}"]
    found += [] if file.decimal or dialect.decimal == "." else [f"--decimal {dialect.decimal!r}"]
    found += [] if file.encoding or dialect.encoding.startswith("utf-8") else [f"--encoding {dialect.encoding}"]
    return [f"{file.name} is read with {' '.join(found)}, as it looks; pass others if that is wrong"] if found else []


def _index_note(file: DataFile, frame: Any, dialect: _Dialect, columns: Collection[str]) -> list[str]:
    """Leaves out a column without a name at the beginning, which holds the index of the rows."""
    first = str(frame.columns[0])
    if first == "Unnamed: 0" and first not in columns:
        del frame[first]
    elif not dialect.index:
        return []
    return [f"{file.name} begins with a column without a name, an index: it is left out"]


def _dialect(file: DataFile, columns: Collection[str]) -> _Dialect:
    encoding = file.encoding or _encoding(file.path)
    with file.path.open("rb") as opened:
        head = codecs.getincrementaldecoder(encoding)().decode(opened.read(_HEAD))
    skip = 1 if head.startswith("sep=") else 0  # Excel's hint.
    text = head.partition("\n")[2] if skip else head
    named = head[4:5] if skip else ""
    stated = file.separator.replace("\\t", "\t") or named
    headers = {each: _header(text, each) for each in ([stated] if stated else _SEPARATORS)}
    separator = max(headers, key=lambda each: (len(set(headers[each]).intersection(columns)), len(headers[each])))
    decimal = file.decimal or ("," if separator != "," and _has_decimal_commas(text, separator) else ".")
    row = next(islice(_rows(text, separator), 1, None), [])
    index = len(row) > len(headers[separator]) and row[-1] != ""  # A line may end with a separator.
    return _Dialect(separator, encoding, headers[separator], decimal, skip, index)


def _header(text: str, separator: str) -> tuple[str, ...]:
    return tuple(next(_rows(text, separator), ()))


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """The rows up to one that is no CSV, such as a quote that is never closed, for another separator."""
    with contextlib.suppress(csv.Error):
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)


def _has_decimal_commas(text: str, separator: str) -> bool:
    """Whether the numbers of some column have decimal commas."""
    rows = list(islice(_rows(text, separator), 1, 1000))
    columns = ([value for value in column if value not in _MISSING] for column in zip_longest(*(rows[:-1] or rows), fillvalue=""))
    return any(
        column
        and all(_DECIMAL_COMMA.fullmatch(each) or each.lstrip("+-").isdecimal() for each in column)
        and "," in "".join(column)
        for column in columns
    )


def _encoding(path: Path) -> str:
    """The encoding of a text: by its mark, UTF-8 if it is that, or else the likeliest of some code pages."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as opened:
        block = opened.read(_HEAD)
        marked = next((encoding for mark, encoding in _MARKS.items() if block.startswith(mark)), "")
        if marked:
            return marked
        if block[:200].count(0) > len(block[:200]) // 4:
            return "utf-16-le" if block[1] == 0 else "utf-16-be"
        try:
            while block:
                decoder.decode(block)
                block = opened.read(_HEAD)
            return "utf-8"
        except UnicodeDecodeError:
            return _likeliest_encoding(block)


def _likeliest_encoding(sample: bytes) -> str:
    import charset_normalizer

    matches = charset_normalizer.from_bytes(sample, cp_isolation=_CODE_PAGES)
    best = matches.best()
    if best is None:
        return "cp1252"
    tied = [each for each in matches if (each.chaos, each.coherence) == (best.chaos, best.coherence)]  # Few letters fit several.
    return "cp1252" if any("cp1252" in each.could_be_from_charset for each in tied) else best.encoding

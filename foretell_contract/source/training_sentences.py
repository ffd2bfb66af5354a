"""Sentences in comments that `foretell init` writes and keeps true: what the training data holds. The author owns the rest."""

import re

SEEN = re.compile(r"Seen in training: (?P<low>\S+) to (?P<high>\S+?)(?: characters)?\.(?=\s|$)")
"""The sentence with the range of a column in the training data."""

_COUNTED = (
    r"(?:Accepted: \S+ to \S+?(?: characters)?\.(?=\s|$)|May be missing, as in \S+ of \S+ rows\.|one of [\d,]+ (?:values|texts)\b)"
)
_OWNED = re.compile(rf"{SEEN.pattern}|{_COUNTED}")


def authors_words(comment: str) -> list[str]:
    """The words of a comment without the sentences that `foretell init` keeps true."""
    return _OWNED.sub(" ", " ".join(comment.split())).split()

"""Sentences in comments that `foretell init` writes and keeps true: what the training data holds. The author owns the rest."""

import re

SEEN = re.compile(r"Seen in training: (?P<low>\S+) to (?P<high>\S+?)(?: characters)?\.(?=\s|$)")
"""The sentence with the range of a column in the training data."""

_OTHERS = (
    r"Accepted: \S+ to \S+?(?: characters)?\.(?=\s|$)",
    r"May be missing, as in \S+ of \S+ rows\.",
    r"one of [\d,]+ (?:values|texts)\b",
    r"one of -?\d+(?:, -?\d+)*(?=\.)",
)
_OWNED = re.compile("|".join((SEEN.pattern, *_OTHERS)))


def authors_words(comment: str) -> list[str]:
    """The words of a comment without the sentences that `foretell init` keeps true."""
    return _OWNED.sub(" ", " ".join(comment.split())).split()

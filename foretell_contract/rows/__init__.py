"""Messages as rows: their columns, their canonical bytes, fast checks of bounds, and their unknown fields.

May import `labels`, `rules` and below.
"""

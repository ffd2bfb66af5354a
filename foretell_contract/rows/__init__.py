"""Messages as rows: their columns, their bytes, their bounds at the speed of arrays, their unknown fields.

May import `rules` and below.
"""

"""Example rows: built from the contract's examples, at the bounds of its rules, or with one field changed.

May import `labels`, `rules` and below.
"""

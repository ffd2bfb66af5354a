"""Example rows: from the contract's own examples, at the boundaries of its rules, and with one field changed.

May import `rules` and below.
"""

"""The text of `.proto` files: compiled, located, commented, edited, written; and the spelling of names.

May import `errors` and `problem` only.
"""

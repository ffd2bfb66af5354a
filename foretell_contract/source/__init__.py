"""The text of `.proto` files: compiling, comments, line numbers, writing and editing; and the spelling of names.

May import `fields`, `errors` and `problem`.
"""

"""All problems of a contract with their places: the defects that stop a start, and the pitfalls that do not.

May import `contract` and below.
"""

"""One module a model format, the table of formats, and what their files are made of.

May import `rows`, `errors` and `runtimes.sklearn`.
"""

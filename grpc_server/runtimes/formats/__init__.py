"""One module a model format, the table of formats, and what formats share.

May import `rows`, `errors` and `runtimes.sklearn`.
"""

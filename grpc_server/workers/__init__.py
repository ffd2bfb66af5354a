"""Worker processes, which run a model outside the server, and the measurement that decides where a model runs.

May import `checks` and the rooms below.
"""

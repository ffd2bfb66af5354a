"""Processes that run a model outside the server, and what a run costs.

May import `checks` and the rooms below.
"""

"""Which version of a model answers: served models, routing, rollouts, the start, and the watcher of route tables.

May import `shadow` and all rooms below.
"""

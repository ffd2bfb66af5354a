"""Which version of a model answers: served models, their routing tables, rollouts, the start, the follower of route tables.

May import `shadow` and all rooms below.
"""

"""A shadow version: it answers copies of production's calls, the two are compared, and the pairs are logged on disk.

May import `loading` and all rooms below.
"""

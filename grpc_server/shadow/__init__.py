"""A shadow version answers copies of production's calls; both answers are compared and logged on disk.

May import `loading` and all rooms below.
"""

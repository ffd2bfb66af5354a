"""From a version on disk to a version in memory, tried in a candidate process first.

May import `transport`, `calls` and all rooms below.
"""

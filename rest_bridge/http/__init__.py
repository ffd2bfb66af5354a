"""HTTP connections: limits, bodies, deadlines, disconnects, drain.

May import `json` for the words of its refusals.
"""

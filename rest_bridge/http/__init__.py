"""HTTP connections: limits, bodies, deadlines, disconnects, drain.

May import `json` for its refusals.
"""

"""Route changes, as commands and the control service make them, and the wait until running servers have applied them.

May import `versions` and all rooms below.
"""

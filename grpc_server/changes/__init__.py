"""Changes of a route table, as commands and the control service make them, and whether running servers have followed.

May import `versions` and all rooms below.
"""

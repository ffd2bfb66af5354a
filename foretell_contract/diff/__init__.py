"""What a change of a contract means for those who call it.

May import `contract` and below.
"""

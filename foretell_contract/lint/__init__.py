"""What is wrong with a contract, and what its author hardly means.

May import `contract` and below.
"""

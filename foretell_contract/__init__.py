"""Contracts: reads services, rules, examples and docs from `.proto` files, checks them and compares them.

May import nothing else of Foretell. Rooms from the top down: lint, diff, examples and rows, rules, source.
"""

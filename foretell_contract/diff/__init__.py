"""Compares two contracts: what changed, and what each change means for callers.

May import `contract` and below.
"""

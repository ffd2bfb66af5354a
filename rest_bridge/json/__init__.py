"""Strict JSON to messages and back, and the JSON of every refusal.

May import the contract package only.
"""

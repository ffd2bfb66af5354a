"""Converts request messages into rows of a model, and outputs of a model into response messages.

May import `errors` and the contract package only.
"""

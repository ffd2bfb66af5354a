"""Request messages to rows of a model, and a model's outputs to response messages.

May import `errors` and the contract package only.
"""

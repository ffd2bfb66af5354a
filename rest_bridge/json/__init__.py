"""JSON documents to messages and back, strictly, and the words of every refusal.

May import the contract package only.
"""

"""`foretell init`: drafts a contract from a model, or updates the contract of a model that was trained again.

May import every room but `testing`.
"""

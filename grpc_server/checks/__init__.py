"""Checks of a model against its manifest, contract and golden rows; inspecting, converting and adding models.

May import `store` and the rooms below it.
"""

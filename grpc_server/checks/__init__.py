"""Whether a model agrees with its manifest, contract and golden rows; inspecting, converting and adding models.

May import `store` and the rooms below.
"""

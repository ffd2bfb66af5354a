"""What every Foretell process does alike: read settings, refuse to start in one line, announce itself, stop when told.

May import `foretell_contract` only.
"""

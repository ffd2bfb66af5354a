"""The shared part of all processes: settings, start and stop, addresses, request ids, and calls of the operating system.

May import `foretell_contract` only.
"""

"""`foretell shadow-report`: how a shadow's answers differ from production's, as text, JSON or a page.

May import `versions` and the server's shadow log.
"""

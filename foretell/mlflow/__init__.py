"""Models from MLflow: addresses, its registry, folders, and the process that follows an alias of a registry.

May import the server's packages and the top's options and settings.
"""

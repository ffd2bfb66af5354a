"""Models from MLflow: addresses, folders, the MLflow registry, and the process that follows an alias of it.

May import the server's packages and the top's options and settings.
"""

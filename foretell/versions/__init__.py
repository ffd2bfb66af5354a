"""Commands about versions (promote, rollback, canary, ...), on a local repository or through a server's control service.

May import `mlflow` and the top's options and settings.
"""

"""Commands about versions (promote, rollback, canary, ...), on this machine's repository or through the control service.

May import `mlflow` and the top's options and settings.
"""

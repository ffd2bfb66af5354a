"""gRPC services beside the models' own: health, reflection, the list of models, control.

May import every room of the server below it, `changes` first.
"""

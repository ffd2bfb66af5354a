"""Options, hints and sentences of the commands."""

"""Other model servers, beside Foretell: `make bench-peers`. Each has a virtual environment of its own, and is used as its docs say.

`<name>.txt` says what is installed, `<name>_server.py` is the whole server and runs in that environment alone.
"""

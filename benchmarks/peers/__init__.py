"""Measures other model servers beside Foretell: `make bench-peers`. Each is used as its docs recommend.

`<name>.txt` lists the packages of its virtual environment; `<name>_server.py` is the server, which runs only in that environment.
"""

"""Prepares multiprocessing's fork server: it imports this module first, before the modules that models need."""

import os
import signal

from foretell_lifecycle.platform import name_process

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))  # A fork loses threads.
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Sent to all processes of a service; the server still drains.
name_process("fork server")

"""Timers that send the current thread a signal, timer_create(2), and a wait that a signal can begin anywhere, timerfd_create(2)."""

import ctypes
import fcntl
import os
import signal
import threading
import time

_THREAD = 4
"""SIGEV_THREAD_ID of sigevent(7)."""

_ABSOLUTE = 1
"""TIMER_ABSTIME of timer_settime(2), TFD_TIMER_ABSTIME of timerfd_settime(2)."""

_INFO, _RESTART = 0x4, 0x10000000
"""SA_SIGINFO and SA_RESTART of sigaction(2)."""

_FIRST = signal.SIGRTMIN + 10
"""Nothing that a model would bring with it is known to use the signals from here on."""


class _Event(ctypes.Structure):
    """struct sigevent."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("unused", ctypes.c_int * 11),
    )


class _Times(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every", "every_nanoseconds", "at", "at_nanoseconds"))


class _Action(ctypes.Structure):
    """struct sigaction, as glibc and musl have it."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_char * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def _library() -> ctypes.CDLL:
    """That of the timers, and what it is built on: before glibc 2.34 they had one of their own."""
    try:
        return ctypes.CDLL("librt.so.1", use_errno=True)
    except OSError:
        return ctypes.CDLL(None, use_errno=True)


_LIBRARY = _library()


class Timer:
    """Sends the thread that makes it a signal, again and again. A process that is forked has none."""

    def __init__(self, number: int) -> None:
        """Raises OSError where the kernel has no more."""
        event = _Event(number=number, notify=_THREAD, thread=threading.get_native_id())
        self._id = ctypes.c_void_p()
        _checked(_LIBRARY.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._id)))

    def start(self, at: float, every: float) -> None:
        """First at these seconds of CLOCK_MONOTONIC, at once if they have passed, then every so many seconds."""
        _checked(_LIBRARY.timer_settime(self._id, _ABSOLUTE, ctypes.byref(_times(at, every)), None))

    def stop(self) -> None:
        """If the thread calls it, a signal that was sent has been heeded before this returns."""
        self.start(0, 0)


class Wait:
    """Whoever gets the signal `number` waits, whatever it does, even if it is not in Python, for the next of certain times.

    The handler is read(2) itself, of a file that can be read at these times: it is called with the number of the signal where it
    takes that of the file, so both are the same. Unlike pause(2) it leaves errno as it is for what it interrupts. Who
    had to wait for a core, and comes to it only after such a time, does not wait.
    """

    def __init__(self) -> None:
        """Raises OSError where the kernel has no more."""
        self.number = _free()
        file = _checked(_LIBRARY.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC))
        os.dup2(file, self.number, inheritable=False)
        os.close(file)
        handler = ctypes.cast(_LIBRARY.eventfd_read, ctypes.c_void_p)
        _checked(_LIBRARY.sigaction(self.number, ctypes.byref(_Action(handler=handler, flags=_INFO | _RESTART)), None))

    def start(self, at: float, every: float) -> None:
        """At these seconds of CLOCK_MONOTONIC, then every so many seconds."""
        _checked(_LIBRARY.timerfd_settime(self.number, _ABSOLUTE, ctypes.byref(_times(at, every)), None))

    def stop(self) -> None:
        """No more of them: who gets the signal now waits for ever."""
        self.start(0, 0)


def _free() -> int:
    """A number that is no file's yet, and may be a signal's."""
    for number in range(_FIRST, signal.SIGRTMAX):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except OSError:
            return number
    raise OSError("too many files are open")


def _times(at: float, every: float) -> _Times:
    parts = (part for seconds in (every, at) for part in (int(seconds), int(seconds % 1 * 1e9)))
    return _Times(*parts)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

"""A network cable between a browser and the server, to pull out."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536


class Cable:
    """Carries TCP connections to a port of this machine. A cut closes both sides at once."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_cut = False
        self._is_deaf = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def cut(self) -> None:
        """End all connections; new ones end at once."""
        with self._lock:
            self._is_cut = True
            for end in self._ends:
                _shut(end)

    def deafen(self) -> None:
        """Drop the bytes of the server. Those of the browser still reach it."""
        self._is_deaf = True

    def mend(self) -> None:
        """All is well again."""
        with self._lock:
            self._is_cut = self._is_deaf = False

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        _shut(self._listener)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(near,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.socket() as far:
            with self._lock:
                if self._is_cut:
                    return
                self._ends |= {near, far}
            try:
                self._connect(near, far)
            finally:
                with self._lock:
                    self._ends -= {near, far}

    def _connect(self, near: socket.socket, far: socket.socket) -> None:
        try:
            far.connect(("127.0.0.1", self._to_port))
        except OSError:
            return
        back = threading.Thread(target=self._pump, args=(far, near), kwargs={"is_back": True}, daemon=True)
        back.start()
        self._pump(near, far, is_back=False)
        back.join()

    def _pump(self, source: socket.socket, target: socket.socket, *, is_back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if not (is_back and self._is_deaf):
                    target.sendall(data)
        _shut(source)
        _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

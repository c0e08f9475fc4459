"""A TCP relay between a device and a server that breaks things on purpose.

It can cut both connections after a number of bytes in one direction, hold what
the server sends until told to let go, and let bytes through a few at a time. It
sees ciphertext: positions are those of the network, not of messages.

SPDX-License-Identifier: Apache-2.0
"""
import socket
import threading
import time

TO_SERVER, TO_DEVICE = 0, 1


class Relay:
    """Listens on a free loopback port; forwards every connection to address."""

    def __init__(self, address):  # "HOST:PORT" of the server
        host, port = address.rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cut_after = None        # (direction, bytes): of the next connection
        self.cut_every = None        # (direction, bytes): of every connection
        self.let_through = 0         # so many connections first
        self.on_cut = None           # called once, before the cut
        self.on_passed = None        # called once, when the bytes before the cut are through
        self.passed = [0, 0]         # bytes of the present connection
        self.spared = False          # it is one of those that are let through
        self.history = []            # the same of every connection so far
        self.changed = threading.Condition()
        self.trickle = None          # (bytes, seconds): so many at a time, and so long between
        self.holding = False
        self.hold_armed = False
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                device, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target)
            except OSError:
                device.close()
                continue
            threading.Thread(target=self._relay, args=(device, server), daemon=True).start()

    def _relay(self, device, server):
        """Both directions of one connection; the sockets are closed when both have ended, since a
        descriptor that is closed under a thread may by then be that of the next connection."""
        passed = self.passed = [0, 0]
        self.history.append(passed)
        self.spared = self.let_through > 0
        self.let_through -= self.spared
        self.cut_after = self.cut_every or self.cut_after
        back = threading.Thread(target=self._pump, args=(TO_DEVICE, server, device, passed), daemon=True)
        back.start()
        self._pump(TO_SERVER, device, server, passed)
        back.join()
        device.close()
        server.close()

    def _pump(self, direction, source, sink, passed):
        try:
            while data := source.recv(65536):
                if passed is self.passed:  # the last bytes of an earlier one do not count
                    data = self._limit(direction, data, source, sink)
                if data is None:
                    return
                with self.changed:
                    if direction == TO_SERVER and passed[TO_DEVICE] > 0 and self.hold_armed:
                        self.holding = True
                    if direction == TO_DEVICE and self.holding:
                        self.changed.wait_for(lambda: not self.holding, timeout=60)
                self._send(sink, data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(source, sink)

    def _send(self, sink, data):
        while self.trickle and data:
            size, pause_s = self.trickle
            sink.sendall(data[:size])
            data = data[size:]
            time.sleep(pause_s)
        sink.sendall(data)

    def _limit(self, direction, data, source, sink):
        """What of the data may pass; None when the cut came and everything is closed."""
        before = self.passed[direction]
        self.passed[direction] += len(data)
        if self.cut_after is None or self.spared or self.cut_after[0] != direction:
            return data
        left = self.cut_after[1] - before
        if len(data) < left:
            return data
        self.cut_after = None
        if self.on_cut:
            self.on_cut()
        try:
            if left > 0:
                sink.sendall(data[:left])
        except OSError:
            pass
        if self.on_passed:
            self.on_passed()
        self._end(source, sink)
        return None

    @staticmethod
    def _end(*sockets):
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hold_answers(self):
        """Nothing that the server sends arrives once the device has had its handshake and sends on."""
        with self.changed:
            self.hold_armed = True

    def release(self):
        with self.changed:
            self.hold_armed = self.holding = False
            self.changed.notify_all()

    def close(self):
        """The thread ends first: one that waits in accept() would take connections of the next test's."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        self.release()

"""The load: an MQTT 3.1.1 client of as little work as Python can do, so that it is not what is measured.

One non-blocking socket, packets glued together from prepared bytes, many to a system call. QoS 1 out (the broker's
acknowledgements are counted), QoS 0 in. Speaks to a broker that behaves; anything else raises.
"""
import select
import socket
import struct
import time

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 2, 3, 4, 0x82, 9
UNACKNOWLEDGED = 1000   # publishes the broker has not acknowledged yet
CHUNK = 1 << 16


def text(s):
    b = s.encode()
    return struct.pack('>H', len(b)) + b


def length(n):
    """MQTT's variable byte integer."""
    out = bytearray()
    while True:
        n, low = divmod(n, 128)
        out.append(low | (128 if n else 0))
        if not n:
            return bytes(out)


def packet(kind, body):
    return bytes([kind]) + length(len(body)) + body


def publish_parts(topic, payload):
    """A QoS 1 PUBLISH before and after its packet id: joined with two bytes it can go out."""
    name = text(topic)
    return bytes([0x32]) + length(len(name) + 2 + len(payload)) + name, payload


class Wire:
    """`sent` and `acknowledged` count publishes; every message received goes to `on_message(topic, payload)`."""

    def __init__(self, port, name, topic, on_message):
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.on_message = on_message
        self.sent = self.acknowledged = 0
        self.inbound, self.outbound = bytearray(), bytearray()
        self.subscribed = False
        self.outbound += packet(CONNECT, text('MQTT') + bytes([4, 2, 0, 0]) + text(name))
        self.outbound += packet(SUBSCRIBE, struct.pack('>H', 1) + text(topic) + b'\0')
        self.socket.setblocking(False)
        deadline = time.monotonic() + 5
        while not self.subscribed:
            if time.monotonic() > deadline:
                raise TimeoutError('no SUBACK from the broker')
            self.pump(0.1)

    def room(self):
        """How many publishes may be queued now."""
        return max(0, UNACKNOWLEDGED - (self.sent - self.acknowledged))

    def queue(self, parts):
        """Puts one prepared publish in line; `pump` sends it."""
        before, after = parts
        self.outbound += before
        self.outbound += (self.sent % 65535 + 1).to_bytes(2, 'big')
        self.outbound += after
        self.sent += 1

    def pump(self, timeout):
        """Sends and receives what can be, waiting at most `timeout` seconds for the first of it."""
        readable, writable, _ = select.select([self.socket], [self.socket] if self.outbound else [], [], timeout)
        if writable:
            del self.outbound[:self.socket.send(self.outbound)]
        if readable:
            got = self.socket.recv(CHUNK)
            if not got:
                raise ConnectionError('the broker closed the connection')
            self.inbound += got
            self.parse()

    def parse(self):
        """Takes the whole packets off `inbound`."""
        data, at, end = self.inbound, 0, len(self.inbound)
        while end - at >= 2:
            size, head, shift = data[at + 1] & 127, 2, 7
            while data[at + head - 1] & 128:
                if at + head >= end:
                    break
                size |= (data[at + head] & 127) << shift
                head, shift = head + 1, shift + 7
            if data[at + head - 1] & 128 or at + head + size > end:
                break
            self.take(data[at] >> 4, data, at + head, at + head + size)
            at += head + size
        del data[:at]

    def take(self, kind, data, begin, end):
        if kind == PUBACK:
            self.acknowledged += 1
        elif kind == PUBLISH:
            name = begin + 2 + (data[begin] << 8 | data[begin + 1])
            self.on_message(data[begin + 2:name].decode(), bytes(data[name:end]))
        elif kind == SUBACK:
            self.subscribed = data[end - 1] == 0
        elif kind == CONNACK and data[end - 1] != 0:
            raise ConnectionError(f'the broker refused: {data[end - 1]}')

    def close(self):
        self.socket.close()

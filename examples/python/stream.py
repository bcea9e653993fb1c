#!/usr/bin/env python3
"""One call over the audio stream, with nothing but Python's standard library.

    python3 stream.py ws://127.0.0.1:8080/v1/stream question.wav reply.wav

Says the recording (16-bit mono WAV at 8 or 16 kHz), prints what the engine tells, and
writes the answer as WAV. The protocol is in docs/protocols.md.
"""

import base64
import json
import os
import socket
import struct
import sys
import threading
import time
import wave
from urllib.parse import urlsplit

FRAME_MS = 20
WAIT_S_MAX = 30
# What becomes of what was said. The bot apologises unless it answers.
DECIDED = {"turn_answered", "not_understood", "stt_failed", "dialog_failed"}


class WebSocket:
    """As much of RFC 6455 as a client needs."""

    TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

    def __init__(self, url):
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), WAIT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lock = threading.Lock()
        key = base64.b64encode(os.urandom(16)).decode()
        path = f"{parts.path or '/'}?{parts.query}"
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.received = b""
        while b"\r\n\r\n" not in self.received:
            self.received += self._some()
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.split(b"\r\n")[0].decode() + self.received.decode())

    def send(self, kind, payload):
        """Sends a message. What a client sends is masked."""
        mask = os.urandom(4)
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, length)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        with self.lock:
            self.socket.sendall(head + mask + masked)

    def messages(self):
        """Gives kind and payload of each message until the connection is closed."""
        while True:
            kind, length = self._take(2)
            length &= 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._take(8))
            payload = self._take(length)
            kind &= 0x0F
            if kind == self.PING:
                self.send(self.PONG, payload)
            elif kind == self.CLOSE:
                self.send(self.CLOSE, payload)
                if payload[:2] == struct.pack("!H", 1013):
                    raise ConnectionError(f"no room now: {payload[2:].decode()}")
                return
            else:
                yield kind, payload

    def _take(self, count):
        while len(self.received) < count:
            self.received += self._some()
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def _some(self):
        some = self.socket.recv(65536)
        if not some:
            raise ConnectionError("the engine closed the connection")
        return some


def read(path):
    """Rate and samples of a recording."""
    with wave.open(path, "rb") as recording:
        rate, width, channels = (
            recording.getframerate(),
            recording.getsampwidth(),
            recording.getnchannels(),
        )
        if (width, channels) != (2, 1) or rate not in (8000, 16000):
            sys.exit(f"{path}: use 16-bit mono WAV at 8 or 16 kHz")
        return rate, recording.readframes(recording.getnframes())


def speak(call, rate, question, is_over):
    """Sends the question in real time, then silence, as a telephone line does."""
    frame = rate * FRAME_MS // 1000 * 2
    due, at = time.monotonic(), 0
    while not is_over.is_set():
        piece = question[at : at + frame].ljust(frame, b"\0")
        at += frame
        call.send(WebSocket.BINARY, piece)
        due += FRAME_MS / 1000
        time.sleep(max(0, due - time.monotonic()))


def main():
    url, question, reply = sys.argv[1:4]
    rate, samples = read(question)
    call = WebSocket(f"{url}{'&' if '?' in url else '?'}rate={rate}&events=1")
    is_over = threading.Event()
    speaker = threading.Thread(target=speak, args=(call, rate, samples, is_over), daemon=True)
    answer, decided = bytearray(), False
    for kind, payload in call.messages():
        if kind == WebSocket.BINARY:
            answer += payload
            continue
        message = json.loads(payload)
        if message["type"] == "started":
            print(f"call {message['call_id']}")
            speaker.start()
        elif message["type"] == "flush":
            print("the caller interrupted")
        elif message["type"] == "error":
            print(f"refused: {message['code']}: {message['message']}")
        elif message["type"] == "end":
            print(f"the call is over: {message['cause']}")
        elif message["type"] == "event":
            event = message["kind"]["event"]
            if event == "transcribed":
                print(f"heard: {message['kind']['text']}")
            elif event == "dialog_replied":
                print(f"bot: {message['kind']['text']}")
            elif event in DECIDED:
                decided = True
            elif event == "bot_turn_stopped" and decided:
                # Everything was said: hang up.
                is_over.set()
                call.send(WebSocket.TEXT, b'{"type":"hangup"}')
    with wave.open(reply, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(bytes(answer))
    print(f"{len(answer) // 2 * 1000 // rate} ms of answer in {reply}")
    sys.exit(0 if decided else "no answer came")


if __name__ == "__main__":
    main()

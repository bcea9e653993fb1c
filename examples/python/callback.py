#!/usr/bin/env python3
"""One call over the HTTP media callback, with nothing but Python's standard library.

    python3 callback.py http://127.0.0.1:8080 question.wav reply.wav

Posts the recording (16-bit mono WAV) in pieces of 200 ms, each answered with the reply audio
that is due, and writes the answer as WAV. The protocol is in docs/protocols.md.
"""

import json
import sys
import time
import urllib.error
import urllib.request
import wave

CHUNK_MS = 200
WAIT_S_MAX = 30
# The bot has finished when it has been silent for so long.
SILENT_CHUNKS = 8


def ask(method, url, body=None, headers=None):
    """One request. A refusal says what to do."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        return urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as refusal:
        sys.exit(f"{refusal.code}: {json.load(refusal)['error']['message']}")


def main():
    engine, question, reply = sys.argv[1:4]
    with wave.open(question, "rb") as recording:
        rate, channels = recording.getframerate(), recording.getnchannels()
        samples = recording.readframes(recording.getnframes())
    start = {"format": {"codec": "pcm16", "rate": rate, "channels": channels}}
    headers = {"Content-Type": "application/json"}
    with ask("POST", f"{engine}/v1/calls", json.dumps(start).encode(), headers) as answer:
        call = json.load(answer)
    print(f"call {call['call_id']}")
    chunk = rate * CHUNK_MS // 1000 * 2 * channels
    sequence, heard, epoch, silent, at = call["first_sequence"], bytearray(), 0, 0, 0
    due = time.monotonic()
    while at < len(samples) or (not heard and at < len(samples) + WAIT_S_MAX * 5 * chunk) or (
        heard and silent < SILENT_CHUNKS
    ):
        # After the question there is silence, as on a telephone line.
        piece = samples[at : at + chunk].ljust(chunk, b"\0")
        at += chunk
        headers = {
            "X-Sequence-Id": str(sequence),
            "Content-Type": "application/octet-stream",
            "Accept": "audio/l16",
        }
        with ask("POST", engine + call["media_url"], piece, headers) as answer:
            audio = answer.read()
            if int(answer.headers["X-Epoch"]) > epoch:
                epoch = int(answer.headers["X-Epoch"])
                print("the caller interrupted")
            if answer.headers["X-Call-State"] == "ended":
                print("the call is over")
                break
        sequence += 1
        heard += audio
        silent = 0 if audio else silent + 1
        due += CHUNK_MS / 1000
        time.sleep(max(0, due - time.monotonic()))
    ask("DELETE", f"{engine}/v1/calls/{call['call_id']}").close()
    with wave.open(reply, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(bytes(heard))
    print(f"{len(heard) // 2 * 1000 // rate} ms of answer in {reply}")
    sys.exit(0 if heard else "no answer came")


if __name__ == "__main__":
    main()

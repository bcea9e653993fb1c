// As much of RFC 6455 as a client needs. Node has a WebSocket of its own from version 22 on.

import { randomBytes } from "node:crypto";
import { request } from "node:http";

export const TEXT = 1;
export const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** Connects; calls back with kind and payload of each message, and at the end with code and reason. */
export function connect(url, { onMessage, onClose }) {
  const { hostname, port, pathname, search, host } = new URL(url);
  return new Promise((resolve, reject) => {
    const upgrade = request({
      hostname,
      port,
      path: pathname + search,
      headers: {
        Host: host,
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
      },
    });
    upgrade.on("error", reject);
    upgrade.on("response", (answer) => reject(new Error(`refused with ${answer.statusCode}`)));
    upgrade.on("upgrade", (_, socket, head) => {
      socket.setNoDelay(true);
      const send = (kind, payload) => socket.write(frame(kind, payload));
      let received = head;
      const read = () => {
        for (let message = parse(received); message; message = parse(received)) {
          received = received.subarray(message.length);
          const { kind, payload } = message;
          if (kind === PING) send(PONG, payload);
          else if (kind === CLOSE) {
            send(CLOSE, payload);
            socket.end();
            const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
            onClose(code, payload.subarray(2).toString());
          } else onMessage(kind, payload);
        }
      };
      socket.on("data", (bytes) => {
        received = Buffer.concat([received, bytes]);
        read();
      });
      socket.on("error", () => onClose(1006, "the connection was lost"));
      resolve({ send });
      read();
    });
    upgrade.end();
  });
}

/** A message as it is sent: what a client sends is masked. */
function frame(kind, payload) {
  const length = payload.length;
  const extra = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const bytes = Buffer.alloc(6 + extra + length);
  bytes[0] = 0x80 | kind;
  bytes[1] = 0x80 | (extra === 0 ? length : extra === 2 ? 126 : 127);
  if (extra === 2) bytes.writeUInt16BE(length, 2);
  if (extra === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  const mask = randomBytes(4);
  mask.copy(bytes, 2 + extra);
  for (let at = 0; at < length; at += 1) bytes[6 + extra + at] = payload[at] ^ mask[at % 4];
  return bytes;
}

/** The first message in what was received, if it is there as a whole. */
function parse(bytes) {
  if (bytes.length < 2) return null;
  const short = bytes[1] & 0x7f;
  const head = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < head) return null;
  const long = () => (short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2)));
  const length = head + (short < 126 ? short : long());
  if (bytes.length < length) return null;
  return { kind: bytes[0] & 0x0f, payload: bytes.subarray(head, length), length };
}

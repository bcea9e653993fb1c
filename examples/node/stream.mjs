#!/usr/bin/env node
// One call over the audio stream, with nothing but Node (18 or later).
//
//   node stream.mjs ws://127.0.0.1:8080/v1/stream question.wav reply.wav
//
// Says the recording (16-bit mono WAV at 8 or 16 kHz), prints what the engine tells, and
// writes the answer as WAV. The protocol is in docs/protocols.md.

import { readFileSync, writeFileSync } from "node:fs";
import { BINARY, TEXT, connect } from "./websocket.mjs";

const FRAME_MS = 20;

const [url, question, reply] = process.argv.slice(2);
const { rate, samples } = readWav(readFileSync(question));
const address = new URL(url);
address.searchParams.set("rate", String(rate));
address.searchParams.set("events", "1");

const answer = [];
// What becomes of what was said. The bot apologises unless it answers.
const DECIDED = new Set(["turn_answered", "not_understood", "stt_failed", "dialog_failed"]);
let decided = false;
let ticker;

const call = await connect(address, { onMessage, onClose }).catch((error) => {
  console.error(error.message);
  process.exit(1);
});

function onMessage(kind, payload) {
  if (kind === BINARY) {
    answer.push(payload);
    return;
  }
  const message = JSON.parse(payload.toString());
  if (message.type === "started") {
    console.log(`call ${message.call_id}`);
    setImmediate(speak);
  } else if (message.type === "flush") console.log("the caller interrupted");
  else if (message.type === "error") console.log(`refused: ${message.code}: ${message.message}`);
  else if (message.type === "end") console.log(`the call is over: ${message.cause}`);
  else if (message.type === "event") onEvent(message.kind);
}

function onEvent(kind) {
  if (kind.event === "transcribed") console.log(`heard: ${kind.text}`);
  else if (kind.event === "dialog_replied") console.log(`bot: ${kind.text}`);
  else if (DECIDED.has(kind.event)) decided = true;
  else if (kind.event === "bot_turn_stopped" && decided) {
    // Everything was said: hang up.
    call.send(TEXT, Buffer.from('{"type":"hangup"}'));
  }
}

/** Sends the question in real time, then silence, as a telephone line does. */
function speak() {
  const bytes = ((rate * FRAME_MS) / 1000) * 2;
  const started = performance.now();
  let sent = 0;
  ticker = setInterval(() => {
    while (sent * FRAME_MS <= performance.now() - started) {
      const piece = Buffer.alloc(bytes);
      samples.subarray(sent * bytes, (sent + 1) * bytes).copy(piece);
      call.send(BINARY, piece);
      sent += 1;
    }
  }, FRAME_MS);
}

function onClose(code, reason) {
  clearInterval(ticker);
  const audio = Buffer.concat(answer);
  writeFileSync(reply, wav(audio));
  console.log(`closed with ${code}: ${reason}`);
  console.log(`${Math.round((audio.length / 2 / rate) * 1000)} ms of answer in ${reply}`);
  process.exitCode = decided ? 0 : 1;
}

/** Rate and samples of a recording. */
function readWav(bytes) {
  let at = 12;
  let rate = 0;
  while (at + 8 <= bytes.length) {
    const name = bytes.toString("latin1", at, at + 4);
    const length = bytes.readUInt32LE(at + 4);
    const body = at + 8;
    if (name === "fmt ") {
      rate = bytes.readUInt32LE(body + 4);
      const isMono16 = bytes.readUInt16LE(body + 2) === 1 && bytes.readUInt16LE(body + 14) === 16;
      if (!isMono16 || ![8000, 16000].includes(rate)) break;
    }
    if (name === "data") return { rate, samples: bytes.subarray(body, body + length) };
    at = body + length + (length % 2);
  }
  console.error(`${question}: use 16-bit mono WAV at 8 or 16 kHz`);
  process.exit(1);
}

function wav(audio) {
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + audio.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(audio.length, 40);
  return Buffer.concat([head, audio]);
}

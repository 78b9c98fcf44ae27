/**
 * The hosts of bench/mask-flood, each a process in a network namespace of its own.
 *
 *     mask-flood-hosts.mjs echo ADDRESS PORT             answers datagrams
 *     mask-flood-hosts.mjs flood ADDRESS RATE            sends what an access list refuses, RATE packets a second, until it is ended
 *     mask-flood-hosts.mjs probe ADDRESS PORT same N MS  N requests from one port, MS apart: one flow
 *     mask-flood-hosts.mjs probe ADDRESS PORT new N MS   each from a port of its own: a new flow each
 *     mask-flood-hosts.mjs sources                       the addresses that `flood` sends from
 *
 * `probe` prints the median and the 99th percentile of the round trips in us, and how many requests got no answer.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** What the access list allows; the packets of the flood differ from each in one bit, which is the first that differs. */
const ALLOWED = { nwSrc: 0x0a00000a, tpSrc: 10_000, tpDst: 20_000 };
const ADDRESS_BITS = 32;
const PORT_BITS = 16;
/** An answer that takes longer does not come. */
const LOST_MS = 1000;
/** Where answers do not come at all, requests end after this. */
const PROBE_MS = 15_000;
/** Packets of the flood are sent so many a second in bursts, this often. */
const BURST_MS = 5;

const dotted = (ip) => [24, 16, 8, 0].map((shift) => (ip >>> shift) & 0xff).join('.');
const flipped = (value, bits) => Array.from({ length: bits }, (_, i) => (value ^ (1 << (bits - 1 - i))) >>> 0);
const sources = flipped(ALLOWED.nwSrc, ADDRESS_BITS).map(dotted);

async function bound(port, address) {
  const socket = createSocket('udp4');
  socket.bind(port, address);
  await once(socket, 'listening');
  return socket;
}

async function echo(address, port) {
  const socket = await bound(Number(port), address);
  socket.on('message', (data, from) => socket.send(data, from.port, from.address));
}

async function flood(address, rate) {
  const sockets = [];
  for (const source of sources) {
    for (const port of flipped(ALLOWED.tpSrc, PORT_BITS)) sockets.push(await bound(port, source));
  }
  const ports = flipped(ALLOWED.tpDst, PORT_BITS);
  const data = Buffer.alloc(18);
  const start = process.hrtime.bigint();
  for (let sent = 0; ; await sleep(BURST_MS)) {
    const due = (Number(process.hrtime.bigint() - start) * Number(rate)) / 1e9;
    // What could not be sent in time is left out.
    if (due - sent > Number(rate)) sent = due;
    for (; sent < due; sent++) {
      const nth = Math.floor(sent);
      const socket = sockets[nth % sockets.length];
      socket.send(data, ports[Math.floor(nth / sockets.length) % ports.length], address, () => {});
    }
  }
}

async function probe(address, port, kind, n, apartMs) {
  const times = [];
  const until = process.hrtime.bigint() + BigInt(PROBE_MS) * 1_000_000n;
  let sent = 0;
  let socket = await bound(0);
  for (let i = 0; i < Number(n) && process.hrtime.bigint() < until; i++, sent++) {
    if (kind === 'new' && i > 0) {
      socket.close();
      socket = await bound(0);
    }
    const start = process.hrtime.bigint();
    socket.send(String(i), Number(port), address);
    const us = await answer(socket, String(i), start);
    if (us !== undefined) times.push(us);
    await sleep(Number(apartMs));
  }
  socket.close();
  times.sort((a, b) => a - b);
  const at = (part) => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0);
  console.log(at(0.5), at(0.99), sent - times.length);
}

/** How long the answer took in us; undefined if none came. */
function answer(socket, text, start) {
  return new Promise((resolve) => {
    const end = (us) => {
      clearTimeout(timer);
      socket.off('message', take);
      resolve(us);
    };
    const timer = setTimeout(end, LOST_MS);
    const take = (data) => {
      // An answer to an earlier request may come late.
      if (data.toString() === text) end(Number(process.hrtime.bigint() - start) / 1000);
    };
    socket.on('message', take);
  });
}

const [what, ...args] = process.argv.slice(2);
const hosts = { echo, flood, probe, sources: () => console.log(sources.join('\n')) };
if (hosts[what] === undefined) throw new RangeError(`mask-flood-hosts: '${what}' is none of ${Object.keys(hosts)}`);
await hosts[what](...args);

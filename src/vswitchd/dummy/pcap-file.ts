/**
 * Packet captures that grow: the pcap format, microseconds, link type Ethernet.  A file that is there already is appended to.
 * Source: https://www.tcpdump.org/manpages/pcap-savefile.5.html; lib/pcap-file.c.
 *
 *     file:   magic:32 major:16 minor:16 zone:32 accuracy:32 snaplen:32 linktype:32
 *     packet: seconds:32 microseconds:32 captured:32 size:32, and the bytes
 */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { wallMs } from '../../util/clock.ts';

const MAGIC = 0xa1b2c3d4;
const SNAPLEN = 1518;
const LINKTYPE_ETHERNET = 1;

export class PcapFile {
  private fd: number;

  /** Opens `path` for appending.  Throws the Error of the system call. */
  constructor(path: string) {
    this.fd = openSync(path, 'a');
    if (fstatSync(this.fd).size === 0) this.writeHeader();
  }

  private writeHeader(): void {
    const header = new DataView(new ArrayBuffer(24));
    header.setUint32(0, MAGIC, true);
    header.setUint16(4, 2, true);
    header.setUint16(6, 4, true);
    header.setUint32(16, SNAPLEN, true);
    header.setUint32(20, LINKTYPE_ETHERNET, true);
    writeSync(this.fd, header);
  }

  /** Appends one frame, with the time of now. */
  write(frame: Uint8Array): void {
    if (this.fd < 0) return;
    const now = wallMs();
    const record = new Uint8Array(16 + frame.length);
    const dv = new DataView(record.buffer);
    dv.setUint32(0, Math.floor(now / 1000), true);
    dv.setUint32(4, (now % 1000) * 1000, true);
    dv.setUint32(8, frame.length, true);
    dv.setUint32(12, frame.length, true);
    record.set(frame, 16);
    writeSync(this.fd, record);
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }
}

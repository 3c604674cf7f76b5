// usage: node run.mjs MODULE.wasm N_FUNCTIONS; reads in.bin, writes out.bin as stream.c does.
import { readFileSync, writeFileSync } from 'node:fs';

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), {});
const harness = instance.exports;
const input = readFileSync('in.bin');
const results = [];
const copy = (address, size) => Buffer.from(new Uint8Array(harness.memory.buffer, address, size));

let at = 0;
for (;;) {
  const nRecords = input.readUInt32LE(at);
  const nBytes = input.readUInt32LE(at + 4);
  at += 8;
  if (nRecords === 0) break;
  new Uint8Array(harness.memory.buffer).set(input.subarray(at, at + nBytes), harness.apr_in_address());
  at += nBytes;
  const words = harness.apr_run_block(nRecords);
  results.push(copy(harness.apr_out_address(), 4 * words));
}
results.push(copy(harness.apr_stack_address(), 8 * Number(process.argv[3])));
writeFileSync('out.bin', Buffer.concat(results));

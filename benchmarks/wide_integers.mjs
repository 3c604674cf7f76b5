// usage: node [--no-liftoff] wide_integers.mjs MODULE.wasm ROUNDS STEPS; reads x.bin, writes out.bin.
// Prints JSON: microseconds of all rows at once, of all rows one by one, and of `limit`, by round.
import { readFileSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), {});
const made = instance.exports;
const rounds = Number(process.argv[3]);
const steps = Number(process.argv[4]);
const input = readFileSync('x.bin');
new Uint8Array(made.memory.buffer).set(input, made.bench_x());

const work = { batch: () => made.bench_batch(), one: () => made.bench_one(), limit: () => made.limit(steps) };
const times = {};
for (const [name, run] of Object.entries(work)) {
  times[name] = [];
  const end = performance.now() + 300; // until the optimising compiler has been here
  while (performance.now() < end) run();
  for (let i = 0; i < rounds; ++i) {
    const began = performance.now();
    run();
    times[name].push((performance.now() - began) * 1e3);
  }
}
made.bench_batch();
writeFileSync('out.bin', new Uint8Array(made.memory.buffer, made.bench_out(), made.bench_out_bytes()));
console.log(JSON.stringify(times));

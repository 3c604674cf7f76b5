// usage: node [--no-liftoff] module_peer.mjs FOLDER MODULE.wasm NUMERIC; the C of a model as wide_wasm.py's module.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from './served.mjs';

const EACH = 1000;
const [folder, module, numeric] = process.argv.slice(2);
const { nRows, nIn, nOut } = JSON.parse(readFileSync(join(folder, 'task.json')));
const { instance } = await WebAssembly.instantiate(readFileSync(module), {});
const of = instance.exports;
const input = readFileSync(join(folder, 'rows.f32')).subarray(0, 4 * nRows * nIn);
new Uint8Array(of.memory.buffer).set(input, of.apr_rows());
of.apr_batch(1);
const answers = `module_${numeric}.f32`;
writeFileSync(join(folder, answers), new Uint8Array(of.memory.buffer, of.apr_scores(), 4 * nRows * nOut).slice());
const form = { tool: 'aprgen', numeric, answers, inside: true, rowsOfOne: EACH };
await serve([{ ...form, batch: () => of.apr_batch(1), one: () => of.apr_each(EACH) }]);

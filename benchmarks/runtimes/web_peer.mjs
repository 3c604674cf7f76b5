// usage: node [--no-liftoff] web_peer.mjs FOLDER PACKAGES; onnxruntime-web, one thread, on the files that ONNX
// Runtime's process left in FOLDER. PACKAGES: the folder in which npm installed it.
import { createRequire } from 'node:module';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from './served.mjs';

const ALONE = 100;
const [folder, packages] = process.argv.slice(2);
const ort = createRequire(join(packages, 'package.json'))('onnxruntime-web');
ort.env.wasm.numThreads = 1;
const { nRows, nIn } = JSON.parse(readFileSync(join(folder, 'task.json')));
const bytes = readFileSync(join(folder, 'rows.f32'));
const rows = new Float32Array(bytes.buffer, bytes.byteOffset, nRows * nIn);
const forms = [];
for (const numeric of ['f32', 'int8']) {
  const file = join(folder, `${numeric}.onnx`);
  if (!existsSync(file)) continue;
  const session = await ort.InferenceSession.create(readFileSync(file), { executionProviders: ['wasm'] });
  const many = { x: new ort.Tensor('float32', rows, [nRows, nIn]) };
  const alone = { x: new ort.Tensor('float32', rows.slice(0, nIn), [1, nIn]) };
  const [answer] = Object.values(await session.run(many));
  const answers = `web_${numeric}.f32`;
  writeFileSync(join(folder, answers), new Uint8Array(Float32Array.from(answer.data, Number).buffer));
  forms.push({
    tool: `onnxruntime-web ${ort.env.versions.web}`, numeric, answers, inside: false, rowsOfOne: ALONE,
    batch: () => session.run(many),
    one: async () => {
      for (let i = 0; i < ALONE; ++i) await session.run(alone);
    },
  });
}
await serve(forms);

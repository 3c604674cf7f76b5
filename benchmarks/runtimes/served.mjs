// As served.py, for node: makes forms ready, says so, and times what it is asked for.
// A form has tool, numeric, answers (a file beside the task), batch() and one(); both may be asynchronous.
import { createInterface } from 'node:readline';
import { performance } from 'node:perf_hooks';

const SETTLED = 400; // milliseconds of calls, after which V8 has compiled again what is called often

export async function serve(forms) {
  for (const form of forms) {
    for (const call of [form.batch, form.one]) {
      const until = performance.now() + SETTLED;
      while (performance.now() < until) await call();
    }
  }
  const facts = forms.map(({ tool, numeric, answers, inside }) => ({ tool, numeric, answers, one: true, inside }));
  console.log(JSON.stringify({ forms: facts }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { form, call, times } = JSON.parse(line);
    const { batch, one, rowsOfOne } = forms[form];
    const [work, rows] = call === 'batch' ? [batch, 1] : [one, rowsOfOne];
    await new Promise((done) => setTimeout(done, 5)); // code that is ready is taken in between
    await work(); // warm again after the others
    const microseconds = [];
    for (let i = 0; i < times; ++i) {
      const began = performance.now();
      await work();
      microseconds.push(((performance.now() - began) * 1e3) / rows);
    }
    console.log(JSON.stringify({ microseconds }));
  }
}

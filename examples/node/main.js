// What a client in Node does: train, follow a job across restarts of the server, predict, export, and read what is wrong
// with a request. All of it with gRPC's own defaults.
import { exportModel } from './exporting.js';
import { explain, refused } from './failures.js';
import { predict } from './prediction.js';
import { train, trainTyped, watch } from './training.js';

const commands = {
  train: ['SPEC.yaml DATA', train],
  typed: ['DATA', trainTyped],
  watch: ['trainJobs/ID', (address, job) => watch(address, job)],
  predict: ['models/ID', predict],
  export: ['models/ID FOLDER', exportModel],
  refused: ['REQUEST COUNT', refused],
};

const [address, name, ...rest] = process.argv.slice(2);
if (!commands[name]) {
  console.error('usage: node main.js HOST:PORT COMMAND ...');
  for (const [command, [parameters]] of Object.entries(commands)) console.error(`  ${command} ${parameters}`);
  process.exit(2);
}
try {
  await commands[name][1](address, ...rest);
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}

// Creates jobs and follows them.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { status } from '@grpc/grpc-js';

import { call, connect } from './contract.js';
import { retryDelay } from './failures.js';

const PATIENCE_MS = 300e3; // longer than a server takes to restart

/** Creates a job from a file of YAML, drops the stream after the first event, and follows the job from there. */
export async function train(address, spec, data) {
  const stream = connect(address, 'TrainingService').TrainJob({
    requestId: randomUUID(), // with it, the call may be repeated: it creates one job
    specYaml: readFileSync(spec, 'utf8'),
    dataset: { path: data },
  });
  const [{ event: first }] = await once(stream, 'data'); // rejects where the request is refused
  stream.on('error', () => {}); // that it was cancelled
  stream.cancel(); // leaving a `for await` ends no call; the job goes on
  show(first);
  await watch(address, first.job, first.sequence);
}

/** Creates a job from a typed spec. */
export async function trainTyped(address, data) {
  const encoder = {
    type: 'auto_transformer',
    pretrainedModelNameOrPath: 'sentence-transformers/all-MiniLM-L6-v2',
    trainable: false,
  };
  const spec = {
    inputFeatures: [
      { name: 'review', type: 'text', encoder },
      { name: 'price', type: 'number' },
      { name: 'category', type: 'category' },
    ],
    outputFeatures: [{ name: 'recommended', type: 'category' }],
    trainer: { epochs: 3 },
  };
  const request = { requestId: randomUUID(), spec, dataset: { path: data }, labels: { client: 'node' } };
  const job = await call(connect(address, 'TrainingService'), 'CreateTrainJob', request);
  await watch(address, job.name);
}

/** Follows a job to its end from after an event's number, whatever becomes of the stream meanwhile. */
export async function watch(address, job, after = '0', tell = show) {
  const client = connect(address, 'TrainingService');
  let heard = Date.now();
  let ended = false;
  while (!ended) {
    try {
      const stream = client.WatchTrainJob({ name: job, afterSequence: after, heartbeatSeconds: 20 });
      let silent = true;
      for await (const { event } of stream) {
        silent = false;
        heard = Date.now();
        after = event.sequence;
        tell(event);
        ended = event.terminal;
      }
      if (silent) return; // the job had ended, and all of its events are known
      if (!ended) throw Object.assign(new Error('the stream ended before the job'), { code: status.UNAVAILABLE });
    } catch (error) {
      const wait = retryDelay(error);
      if (wait === undefined || Date.now() - heard > PATIENCE_MS) throw error;
      console.log(`broken after ${after} by ${status[error.code]}, again in ${wait} ms`);
      await sleep(wait);
    }
  }
}

/** Prints an event; kinds that are not known here, as a later server may send, are passed over. */
export function show(event) {
  const { sequence, job, stateChange: change, epochFinished: epoch, modelPublished: published } = event;
  if (event.event === 'heartbeat') return;
  if (change) console.log(sequence, job, change.state, change.error?.message ?? '');
  else if (epoch) console.log(sequence, 'epoch', epoch.epoch, JSON.stringify(epoch.validation));
  else if (published) console.log(sequence, 'published', published.model);
  else console.log(sequence);
}

// Reads what a failed call says.
import { readFileSync } from 'node:fs';

import { status } from '@grpc/grpc-js';

import { call, connect, definitions } from './contract.js';

/** The `google.rpc` details of an error, by name, e.g. `RetryInfo`. An Any keeps the name `type_url`. */
export function details(error) {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const found = {};
  for (const { type_url: type, value } of bytes ? read('google.rpc.Status', bytes).details : []) {
    found[type.split('.').pop()] = read(type.split('/').pop(), value);
  }
  return found;
}

/** Milliseconds after which a call may be made again: as the server says, or a second where it cannot; else undefined. */
export function retryDelay(error) {
  const { RetryInfo: info } = details(error);
  if (info) return Number(info.retryDelay.seconds) * 1e3 + info.retryDelay.nanos / 1e6;
  return error.code === status.UNAVAILABLE ? 1e3 : undefined;
}

/** What a person needs to know of an error. */
export function explain(error) {
  if (error.code === undefined) return String(error);
  const { ErrorInfo: info, BadRequest: bad, RetryInfo: retry } = details(error);
  const lines = [`${status[error.code]}: ${error.details}`];
  if (info) lines.push(`reason ${info.reason} ${JSON.stringify(info.metadata)}`);
  for (const violation of bad?.fieldViolations ?? []) lines.push(`field ${violation.field}: ${violation.description}`);
  if (retry) lines.push(`again in ${retryDelay(error)} ms`);
  return lines.join('\n');
}

/** Sends a bad CreateTrainJobRequest again and again, and counts what comes back. */
export async function refused(address, file, count) {
  const client = connect(address, 'TrainingService');
  const request = client.CreateTrainJob.requestDeserialize(readFileSync(file));
  const answers = new Map();
  for (let sent = 0; sent < Number(count); sent++) {
    const answer = await call(client, 'CreateTrainJob', request).then(() => 'OK', explain);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  for (const [answer, times] of answers) console.log(`${times} times\n${answer}`);
}

function read(type, bytes) {
  const { deserialize } = definitions[type];
  return deserialize(bytes);
}

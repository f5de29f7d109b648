// Uses what Connect-ES makes of the contract: a typed spec, fields with presence, oneofs, streams, and the details of errors.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';

import { BadRequestSchema, RetryInfoSchema } from './generated/connect/google/rpc/error_details_pb.js';
import { PredictionService, PredictStreamRequestSchema, type PredictStreamResponse } from './generated/connect/headstart/v1/prediction_pb.js';
import { TrainSpecSchema } from './generated/connect/headstart/v1/spec_pb.js';
import { CreateTrainJobRequestSchema, TrainJob_State, TrainingService } from './generated/connect/headstart/v1/training_pb.js';

const spec = create(TrainSpecSchema, {
  inputFeatures: [{ name: 'price', type: 'number' }],
  outputFeatures: [{ name: 'recommended', type: 'category' }],
  trainer: { epochs: 3 },
});

export const request = create(CreateTrainJobRequestSchema, {
  specSource: { case: 'spec', value: spec },
  dataset: { source: { case: 'path', value: 'reviews.csv' } },
});

export function transport(baseUrl: string): Transport {
  return createGrpcTransport({ baseUrl });
}

export async function progress(transport: Transport): Promise<number | undefined> {
  const client = createClient(TrainingService, transport);
  const job = await client.createTrainJob(request);
  for await (const { event } of client.watchTrainJob({ name: job.name, afterSequence: job.lastSequence })) {
    if (event?.event.case === 'stateChange' && event.event.value.state === TrainJob_State.SUCCEEDED) return 1;
  }
  return job.progress;
}

type Requests = AsyncIterable<MessageInitShape<typeof PredictStreamRequestSchema>>;

export async function failures(transport: Transport, requests: Requests): Promise<(string | undefined)[]> {
  const answers: PredictStreamResponse[] = [];
  for await (const answer of createClient(PredictionService, transport).predictStream(requests)) answers.push(answer);
  return answers.map(({ result }) => (result.case === 'error' ? result.value.message : undefined));
}

export function violations(error: unknown): string[] {
  const failed = ConnectError.from(error);
  const again = failed.code === Code.Unavailable ? failed.findDetails(RetryInfoSchema) : [];
  const fields = failed.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
  return [...fields.map(({ field }) => field), ...again.map((retry) => `${retry.retryDelay?.seconds}`)];
}

console.log(request.specSource.case, spec.trainer?.epochs);

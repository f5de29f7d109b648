// Uses what ts-proto makes of the contract: a typed spec, fields with presence, oneofs and streams.
import { credentials } from '@grpc/grpc-js';

import { CreateTrainJobRequest, TrainingServiceClient, type TrainJob, TrainJob_State } from './generated/ts-proto/headstart/v1/training.js';

export const request = CreateTrainJobRequest.create({
  spec: {
    inputFeatures: [{ name: 'price', type: 'number' }],
    outputFeatures: [{ name: 'recommended', type: 'category' }],
    trainer: { epochs: 3 },
  },
  dataset: { path: 'reviews.csv' },
});

export function create(address: string, told: (job: TrainJob) => void): void {
  const client = new TrainingServiceClient(address, credentials.createInsecure());
  client.createTrainJob(request, (error, job) => {
    if (error) throw error;
    told(job);
    const stream = client.watchTrainJob({ name: job.name, afterSequence: job.lastSequence, heartbeatSeconds: 20 });
    stream.on('data', ({ event }) => console.log(event?.sequence, event?.stateChange?.state === TrainJob_State.STATE_SUCCEEDED));
  });
}

const bytes = CreateTrainJobRequest.encode(request).finish();
console.log(CreateTrainJobRequest.decode(bytes).spec?.trainer?.epochs, bytes.length);

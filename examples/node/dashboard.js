// A dashboard that comes late: one GetTrainJob tells a job's state and its curve so far, one watch from its last event
// tells the rest. Usage: node dashboard.js HOST:PORT trainJobs/ID
import { call, connect } from './contract.js';
import { explain } from './failures.js';
import { watch } from './training.js';

const [address, name] = process.argv.slice(2);

/** A line of the curve. */
function point({ evaluation, epochs, validation, best }) {
  const values = Object.entries(validation).sort().map(([metric, value]) => `${metric} ${value.toFixed(4)}`);
  console.log(`evaluation ${evaluation} epochs ${epochs}`, ...values, best ? 'best' : '');
}

/** What an event changes of what is shown. */
function tell({ epochFinished: epoch, stateChange: change, stepProgress: step, modelPublished: published }) {
  if (epoch) point(epoch);
  if (change) console.log('state', change.state, change.error?.message ?? '');
  if (step) console.log(`step ${step.step} of ${step.totalSteps}`);
  if (published) console.log('model', published.model);
}

try {
  const job = await call(connect(address, 'TrainingService'), 'GetTrainJob', { name, view: 'JOB_VIEW_FULL' });
  console.log('job', job.displayName || job.name);
  console.log('state', job.state, job.error?.message ?? '');
  for (const data of job.datasets) console.log('data', data.role, data.path || data.dataset, 'rows', data.rowCount ?? '?');
  if (job.progress !== undefined) console.log(`progress ${Math.round(job.progress * 100)} %`);
  job.epochs.forEach(point);
  if (job.model) console.log('model', job.model);
  console.log('after', job.lastSequence);
  await watch(address, name, job.lastSequence, tell);
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}

// Asks a model.
import { call, connect } from './contract.js';

/** Answers two rows, and gives up after half a minute. */
export async function predict(address, model) {
  const columns = [
    { name: 'review', strings: { values: ['Broke on day one.', 'The best present I have given in years.'] } },
    { name: 'price', doubles: { values: [20, 35] } },
    { name: 'category', strings: { values: ['garden', 'travel'] } },
  ];
  const request = { model, table: { columns }, probabilities: true };
  const client = connect(address, 'PredictionService');
  const { outputs } = await call(client, 'Predict', request, { deadline: Date.now() + 30e3 });
  const [{ labels, classes, probabilities }] = outputs;
  labels.values.forEach((label, row) => {
    console.log(label, classes, probabilities.slice(row * classes.length, (row + 1) * classes.length));
  });
}

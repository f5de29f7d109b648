// The contract's services and messages, read from its protos when the program starts: nothing is generated.
import { fileURLToPath } from 'node:url';

import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const protos = fileURLToPath(new URL('../../protos', import.meta.url));
const names = ['dataset', 'embedding', 'export', 'model', 'prediction', 'server', 'training'];
const google = ['google/rpc/status.proto', 'google/rpc/error_details.proto'];
const files = [...names.map((name) => `headstart/v1/${name}.proto`), ...google];

// Numbers of 64 bits as text, for a number of JavaScript holds 53; enums by name; absent messages as null, `optional`
// fields that are not set as undefined; of a oneof, the name of the field that is set.
const options = { includeDirs: [protos], longs: String, enums: String, defaults: true, oneofs: true };
export const definitions = loadSync(files, options);

const v1 = loadPackageDefinition(definitions).headstart.v1;

/** A client of a service, e.g. `TrainingService`, without TLS. */
export function connect(address, service) {
  return new v1[service](address, credentials.createInsecure());
}

/** A unary call as a promise. */
export function call(client, method, request, options = {}) {
  return new Promise((resolve, reject) => {
    client[method](request, options, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

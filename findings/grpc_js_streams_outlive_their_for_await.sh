#!/usr/bin/env bash
# One would guess that who leaves a `for await` over a stream of grpc-js ends the call, as it destroys the stream, and as
# leaving such a loop over Node's own sockets, requests and files does; and that a program whose last stream is destroyed ends.
#
# In truth the call goes on: the stream is destroyed, but nothing tells the server, the connection is kept open for a stream
# that nobody reads, and the program never ends while the server has something to say. Only `cancel()` ends the call. It
# then raises an 'error' event (CANCELLED), which ends the program where nobody listens for it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-package-lock --no-audit --no-fund '@grpc/grpc-js@1.14.7'
cat >demo.cjs <<'JS'
const assert = require('node:assert');
const { setTimeout: sleep } = require('node:timers/promises');
const grpc = require('@grpc/grpc-js');

const bytes = { requestSerialize: (x) => x, requestDeserialize: (x) => x, responseSerialize: (x) => x, responseDeserialize: (x) => x };
const service = { Count: { path: '/demo.Demo/Count', requestStream: false, responseStream: true, ...bytes } };
const Client = grpc.makeGenericClientConstructor(service, 'Demo');

const ended = [];
const server = new grpc.Server();
server.addService(service, {
  Count(call) {
    const timer = setInterval(() => call.write(Buffer.from('again')), 50);
    call.on('cancelled', () => {
      clearInterval(timer);
      ended.push(Date.now());
    });
  },
});
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), async (error, port) => {
  assert.ifError(error);
  const stream = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure()).Count(Buffer.from('from one'));
  for await (const message of stream) {
    assert.equal(message.toString(), 'again');
    break;
  }
  await sleep(3000);
  console.log('three seconds after the loop: destroyed', stream.destroyed, 'calls that ended', ended.length);
  assert.equal(stream.destroyed, true);
  assert.equal(ended.length, 0);
  let told;
  stream.on('error', (raised) => {
    told = raised.code;
  });
  stream.cancel();
  await sleep(1000);
  console.log('a second after cancel(): calls that ended', ended.length);
  assert.equal(ended.length, 1);
  console.log('error event after the stream was destroyed:', told);
  process.exit(0);
});
JS
node demo.cjs
echo "as described"

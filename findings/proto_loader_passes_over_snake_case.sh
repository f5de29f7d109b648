#!/usr/bin/env bash
# One would guess that a request for grpc-js and @grpc/proto-loader that is written with the proto's own field names
# (`spec_yaml: ...`) is sent as it is written, or refused as having a field that the message lacks.
#
# In truth field names are read in camel case unless `keepCase` is set, and names that are not known are passed over without
# a word: the message is sent without the field. Nothing but the server, if it misses the field, says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-package-lock --no-audit --no-fund '@grpc/grpc-js@1.14.7' '@grpc/proto-loader@0.8.1'
cat >demo.proto <<'PROTO'
syntax = "proto3";
package demo;
message Request { string spec_yaml = 1; }
service Demo { rpc Do(Request) returns (Request); }
PROTO
cat >demo.cjs <<'JS'
const assert = require('node:assert');
const { loadSync } = require('@grpc/proto-loader');

function sent(options, request) {
  return loadSync('demo.proto', options)['demo.Demo'].Do.requestSerialize(request).length;
}

const found = {
  'spec_yaml by default': sent({}, { spec_yaml: 'text' }),
  'specYaml by default': sent({}, { specYaml: 'text' }),
  'spec_yaml with keepCase': sent({ keepCase: true }, { spec_yaml: 'text' }),
  'specYaml with keepCase': sent({ keepCase: true }, { specYaml: 'text' }),
  'no field of it': sent({}, { nothing: 'text' }),
};
console.log('bytes of the message:', found);
assert.deepEqual(Object.values(found), [0, 6, 6, 0, 0]);
JS
node demo.cjs
echo "as described"

// Has models exported, and downloads them.
import { createHash } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from './contract.js';
import { retryDelay } from './failures.js';

/** Has a model exported as ONNX, and downloads it into a folder. */
export async function exportModel(address, model, folder) {
  const client = connect(address, 'ExportService');
  let made;
  for await (const { progress, artifact } of client.Export({ model, format: 'FORMAT_ONNX' })) {
    if (progress) console.log(progress.stage, progress.message);
    made = artifact ?? made;
  }
  for (const file of made.files) {
    const path = join(folder, file.path);
    if (relative(resolve(folder), resolve(path)).startsWith('..')) throw new Error(`${file.path} leads out of the folder`);
    await mkdir(dirname(path), { recursive: true });
    await fetchFile(client, made.name, file, path);
    console.log(file.sha256, file.path);
  }
}

/** Downloads one file, going on from where a broken stream ended, and compares its digest. */
async function fetchFile(client, artifact, file, path) {
  const digest = createHash('sha256');
  const target = await open(path, 'w');
  let offset = 0;
  try {
    while (offset < Number(file.sizeBytes)) {
      try {
        for await (const { data } of client.DownloadArtifact({ name: artifact, path: file.path, offset })) {
          await target.write(data);
          digest.update(data);
          offset += data.length;
        }
      } catch (error) {
        const wait = retryDelay(error);
        if (wait === undefined) throw error;
        await sleep(wait);
      }
    }
  } finally {
    await target.close();
  }
  const found = digest.digest('hex');
  if (found !== file.sha256) throw new Error(`${file.path}: SHA-256 is ${found} in place of ${file.sha256}`);
}

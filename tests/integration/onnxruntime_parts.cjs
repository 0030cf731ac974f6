// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs the parts of a model one after the other in onnxruntime's CPU library: node onnxruntime_parts.cjs JOB.json, with
//   {"inputs": [{"name", "shape", "file"}], "parts": [{"file", "takes": [{"name", "shape"}], "gives": [NAME]}],
//    "result": {"name", "file"}}
// where tensors lie in files of float32 values. Each part gets what it takes by name, and must give just what it says.
// Exit codes: 0 done, 1 a part failed, 3 there is no onnxruntime-node.
"use strict";
const fs = require("fs");

let runtime;
try {
  runtime = require("onnxruntime-node");
} catch (error) {
  console.error(String(error.message).split("\n")[0]);
  process.exit(3);
}

function readFloats(file) {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function sameNames(actual, expected, what) {
  if ([...actual].sort().join("\n") !== [...expected].sort().join("\n")) {
    throw new Error(`${what}: ${actual} instead of ${expected}`);
  }
}

async function main(job) {
  const live = {};
  for (const { name, shape, file } of job.inputs) {
    live[name] = new runtime.Tensor("float32", readFloats(file), shape);
  }
  for (const { file, takes, gives } of job.parts) {
    const session = await runtime.InferenceSession.create(file, { executionProviders: ["cpu"], intraOpNumThreads: 1 });
    sameNames(session.inputNames, takes.map((tensor) => tensor.name), `${file} takes`);
    sameNames(session.outputNames, gives, `${file} gives`);
    const feeds = {};
    for (const { name, shape } of takes) {
      if (live[name].dims.join() !== shape.join()) {
        throw new Error(`${file}: ${name} is ${live[name].dims} instead of ${shape}`);
      }
      feeds[name] = live[name];
    }
    Object.assign(live, await session.run(feeds));
    await session.release();
  }
  const { data } = live[job.result.name];
  fs.writeFileSync(job.result.file, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
}

main(JSON.parse(fs.readFileSync(process.argv[2], "utf8"))).catch((error) => {
  console.error(error.message);
  process.exit(1);
});

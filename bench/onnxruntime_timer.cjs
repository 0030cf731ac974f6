// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Times onnxruntime's CPU library, one thread, for runtime_bench. Commands on stdin, one a line, paths without spaces;
// one line on stdout answers each:
//   load MODEL INPUT DIM...  -> "ok": MODEL is an ONNX file of one input, INPUT its float32 values, row-major
//   answer FILE              -> "ok": runs once and writes the first output's values to FILE
//   run COUNT                -> CPU microseconds of one of COUNT runs, all threads of this process together
// An error is answered with "error MESSAGE". Ends with its stdin.
"use strict";
const fs = require("fs");
const readline = require("readline");

let runtime;
try {
  runtime = require("onnxruntime-node");
} catch (error) {
  console.log(`error ${String(error.message).split("\n")[0]}`);
  process.exit(3);
}

let session;
let feeds;

async function load(model, input, dims) {
  session = await runtime.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  const bytes = fs.readFileSync(input);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  feeds = { [session.inputNames[0]]: new runtime.Tensor("float32", values, dims) };
  return "ok";
}

async function answer(file) {
  const outputs = await session.run(feeds);
  const values = outputs[session.outputNames[0]].data;
  fs.writeFileSync(file, Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  return "ok";
}

async function run(count) {
  const before = process.cpuUsage();
  for (let i = 0; i < count; ++i) {
    await session.run(feeds);
  }
  const used = process.cpuUsage(before);
  return String((used.user + used.system) / count);
}

async function main() {
  console.log(`ready ${require("onnxruntime-node/package.json").version}`);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split(" ");
    try {
      if (command === "load") {
        console.log(await load(words[0], words[1], words.slice(2).map(Number)));
      } else if (command === "answer") {
        console.log(await answer(words[0]));
      } else {
        console.log(await run(Number(words[0])));
      }
    } catch (error) {
      console.log(`error ${String(error.message).split("\n")[0]}`);
    }
  }
}

main();

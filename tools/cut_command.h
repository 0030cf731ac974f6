// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace shoji::tools {

// Adds `cut --model M (--policy P | --layers N) --out DIR`: writes each segment of the policy as a file of its own, and
// cut.yaml, which says in what order they run and which tensors each takes and gives. What is confidential is written
// sealed (`--key` or `--new-key`, `--queries`) and nowhere else; the rest as ONNX that any runtime reads, in float32.
// DIR must not exist; it appears complete or not at all. Sets `exit_code` when it has run; both arguments outlive the
// parse.
void AddCutCommand(CLI::App& app, int& exit_code);

}  // namespace shoji::tools

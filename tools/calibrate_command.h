// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace shoji::tools {

// Adds `calibrate --model M --images DIR --preprocessing P`: runs the model in float32 on every picture below DIR and
// writes the range of each of its values as YAML, by default beside the model. Files of another kind than PNG, JPEG and
// BMP are passed over by their extension; a picture that cannot be decoded is named and skipped, and more than a tenth
// of such pictures is an error. Sets `exit_code` when it has run; both arguments outlive the parse.
void AddCalibrateCommand(CLI::App& app, int& exit_code);

}  // namespace shoji::tools

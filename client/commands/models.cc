// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/commands/commands.h"
#include "client/commands/json_text.h"
#include "lib/image/preprocessing.h"

namespace shoji::client {
namespace {

using Json = nlohmann::ordered_json;

size_t CountLines(ByteSpan text) {
  const auto newlines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  return newlines + (!text.empty() && text.back() != '\n' ? 1 : 0);
}

std::string PictureSize(const ModelDescription& model) {
  const auto preprocessing = image::ParsePreprocessing(model.preprocessing);
  if (model.preprocessing.empty() || !preprocessing.ok()) {
    return "";
  }
  return std::to_string(preprocessing->crop_width) + "x" + std::to_string(preprocessing->crop_height);
}

}  // namespace

int RunModels(const Arguments& arguments, std::ostream& out, std::ostream& err) {
  const RealClock clock;
  const auto timeout = ParseDuration(arguments.deadline);
  const auto transport = timeout.ok() ? MakeTransport(arguments, clock) : timeout.status();
  if (!transport.ok()) {
    err << "shoji: " << Describe(transport.status()) << "\n";
    return kExitUsage;
  }
  const auto models = (*transport)->ListModels(clock.SteadyNow() + *timeout);
  if (!models.ok()) {
    err << "shoji: " << Describe(models.status()) << "\n";
    return kExitFailure;
  }
  for (const ModelDescription& model : *models) {
    const std::string size = PictureSize(model);
    if (arguments.output == OutputFormat::kJson) {
      const Json json = {{"name", model.name}, {"picture", size}, {"labels", CountLines(model.labels)}};
      out << JsonText(json, -1) << "\n";
    } else {
      out << Printable(model.name) << "  " << (size.empty() ? "tensors only" : "pictures, seen at " + size) << ", "
          << CountLines(model.labels) << " labels\n";
    }
  }
  if (models->empty()) {
    err << "shoji: the server serves no model now: no enclave is connected to it and ready\n";
    return kExitFailure;
  }
  return kExitOk;
}

}  // namespace shoji::client

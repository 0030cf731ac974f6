// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// shoji-wiretap shows what one hop carries.
//   shoji-wiretap relay --listen unix:/a.sock --forward unix:/b.sock --record PREFIX
//     relays connections until SIGTERM, then writes all bytes to PREFIX.sent and PREFIX.received
//   shoji-wiretap report --picture FILE --preprocessing FILE --answer FILE.json --party NAME=PREFIX[,PREFIX...]...
//     looks for the picture, in every encoding it takes on the way, and for the answer's scores, in what was recorded
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/image/decode.h"
#include "lib/image/pixels.h"
#include "lib/preprocessing_file/preprocessing_file.h"
#include "lib/rpc/signal_waiter.h"
#include "tests/support/marks.h"
#include "tests/support/wiretap.h"

namespace shoji::testing {
namespace {

constexpr size_t kMaxCapture = size_t{1} << 30;

struct Flags {
  std::string listen;
  std::string forward;
  std::string record;
  std::string picture;
  std::string preprocessing;
  std::string answer;
  std::vector<std::string> parties;
};

absl::Status Relay(const Flags& flags) {
  rpc::SignalWaiter signals;
  ASSIGN_OR_RETURN(const std::unique_ptr<Wiretap> tap, Wiretap::Start(flags.listen, flags.forward));
  // Says where it listens, for port 0.
  RETURN_IF_ERROR(WriteFileAtomically(flags.record + ".address", AsBytes(tap->address() + "\n")));
  signals.Wait();
  RETURN_IF_ERROR(WriteFileAtomically(flags.record + ".sent", tap->sent()));
  return WriteFileAtomically(flags.record + ".received", tap->received());
}

// The scores in the output of `shoji infer --output json`.
absl::StatusOr<std::vector<float>> ReadScores(const std::string& path) {
  std::ifstream in(path);
  const nlohmann::json answer = nlohmann::json::parse(in, nullptr, false);
  const nlohmann::json::json_pointer values("/outputs/0/values");
  if (answer.is_discarded() || !answer.contains(values)) {
    return absl::InvalidArgumentError(path + " holds no answer of shoji infer");
  }
  std::vector<float> scores;
  for (const nlohmann::json& value : answer[values]) {
    scores.push_back(value.is_number() ? value.get<float>() : 0);
  }
  return scores;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    out += (out.empty() ? "" : ", ") + name;
  }
  return out;
}

absl::StatusOr<Bytes> Captured(const std::string& prefixes) {
  Bytes out;
  for (size_t at = 0; at <= prefixes.size();) {
    const size_t comma = std::min(prefixes.find(',', at), prefixes.size());
    for (const char* direction : {".sent", ".received"}) {
      ASSIGN_OR_RETURN(const Bytes part, ReadFile(prefixes.substr(at, comma - at) + direction, kMaxCapture));
      Append(out, part);
    }
    at = comma + 1;
  }
  return out;
}

absl::Status Report(const Flags& flags) {
  ASSIGN_OR_RETURN(const image::Preprocessing preprocessing,
                   preprocessing_file::LoadPreprocessing(flags.preprocessing));
  ASSIGN_OR_RETURN(const Bytes file, ReadFile(flags.picture, kMaxCapture));
  ASSIGN_OR_RETURN(const image::Image picture, image::Decode(file, flags.picture));
  const Tensor pixels = image::ToPixels(picture, preprocessing);
  const std::vector<Mark> picture_marks = PictureMarks(pixels.bytes(), preprocessing);
  ASSIGN_OR_RETURN(const std::vector<float> scores, ReadScores(flags.answer));
  const std::vector<Mark> result_mark = {ResultMark(scores)};
  std::printf("%-28s %10s  %-24s %s\n", "what passed", "bytes", "the picture", "the answer");
  for (const std::string& party : flags.parties) {
    const size_t equals = party.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError("--party wants NAME=PREFIX: " + party);
    }
    ASSIGN_OR_RETURN(const Bytes captured, Captured(party.substr(equals + 1)));
    const std::vector<std::string> found = Found(picture_marks, captured);
    std::printf("%-28s %10zu  %-24s %s\n", party.substr(0, equals).c_str(), captured.size(),
                found.empty() ? "not found" : ("FOUND as " + Joined(found)).c_str(),
                Found(result_mark, captured).empty() ? "not found" : "FOUND");
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Shows what one hop carries.");
  app.require_subcommand(1);
  CLI::App* relay = app.add_subcommand("relay", "Relay connections and record every byte");
  relay->add_option("--listen", flags.listen, "unix:PATH or 127.0.0.1:PORT")->required();
  relay->add_option("--forward", flags.forward, "Where to connect")->required();
  relay->add_option("--record", flags.record, "Prefix of the files written")->required();
  CLI::App* report = app.add_subcommand("report", "Look for a picture and an answer in what was recorded");
  report->add_option("--picture", flags.picture, "The picture that was sent")->required();
  report->add_option("--preprocessing", flags.preprocessing, "The model's preprocessing file")->required();
  report->add_option("--answer", flags.answer, "The client's JSON output")->required();
  report->add_option("--party", flags.parties, "NAME=PREFIX[,PREFIX...] of records")->required();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = relay->parsed() ? Relay(flags) : Report(flags);
  if (!status.ok()) {
    std::fprintf(stderr, "shoji-wiretap: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace shoji::testing

int main(int argc, char** argv) { return shoji::testing::Main(argc, argv); }

// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/commands/load.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <system_error>
#include <utility>

#include "client/encode.h"
#include "client/evidence_file.h"
#include "client/load/generator.h"
#include "client/load/html_report.h"
#include "client/load/options.h"
#include "client/load/text_report.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/image/decode.h"

namespace shoji::client {
namespace {

using load::Generator;
using load::Measurement;

constexpr size_t kMaxPictureFile = size_t{256} << 20;
constexpr size_t kMaxPictures = 1000;
constexpr size_t kNumGenerated = 16;

// The run that a signal ends.
std::atomic<Generator*> running = nullptr;

void OnSignal(int /*signal*/) {
  if (Generator* const generator = running; generator != nullptr) {
    generator->Stop();
  }
}

// Ends `generator` at SIGINT and SIGTERM for as long as it lives; what was measured is printed all the same.
class StopsAtSignal {
 public:
  explicit StopsAtSignal(Generator& generator) {
    running = &generator;
    struct sigaction action = {};
    action.sa_handler = OnSignal;
    sigaction(SIGINT, &action, &int_before_);
    sigaction(SIGTERM, &action, &term_before_);
  }
  StopsAtSignal(const StopsAtSignal&) = delete;
  StopsAtSignal& operator=(const StopsAtSignal&) = delete;
  ~StopsAtSignal() {
    sigaction(SIGINT, &int_before_, nullptr);
    sigaction(SIGTERM, &term_before_, nullptr);
    running = nullptr;
  }

 private:
  struct sigaction int_before_ = {};
  struct sigaction term_before_ = {};
};

// `status` with the option that it is about before it.
absl::Status Of(std::string_view option, const absl::Status& status) {
  return status.ok() ? status : absl::Status(status.code(), std::string(option) + ": " + std::string(status.message()));
}

absl::StatusOr<std::chrono::milliseconds> TimeOf(std::string_view option, const std::string& text) {
  const absl::StatusOr<std::chrono::milliseconds> time = ParseDuration(text);
  RETURN_IF_ERROR(Of(option, time.status()));
  return time;
}

absl::StatusOr<load::Options> MakeLoadOptions(const LoadArguments& arguments) {
  load::Options options;
  if (!arguments.concurrency.empty() && !arguments.rate.empty()) {
    return absl::InvalidArgumentError("give --concurrency or --rate, not both");
  }
  options.mode = arguments.rate.empty() ? load::Mode::kConcurrency : load::Mode::kRate;
  const std::string levels = arguments.concurrency.empty() ? "1" : arguments.concurrency;
  absl::StatusOr<std::vector<double>> sweep =
      arguments.rate.empty() ? load::ParseSweep(levels, true) : load::ParseSweep(arguments.rate, false);
  RETURN_IF_ERROR(Of(arguments.rate.empty() ? "--concurrency" : "--rate", sweep.status()));
  options.levels = *std::move(sweep);
  if (arguments.arrival != "constant" && arguments.rate.empty()) {
    return absl::InvalidArgumentError("--arrival goes with --rate");
  }
  options.arrival = arguments.arrival == "poisson" ? load::Arrival::kPoisson : load::Arrival::kConstant;
  options.seed = arguments.seed;
  ASSIGN_OR_RETURN(options.duration, TimeOf("--duration", arguments.duration));
  options.warmup = std::chrono::nanoseconds(0);
  if (!IsNoTime(arguments.warmup)) {
    ASSIGN_OR_RETURN(options.warmup, TimeOf("--warmup", arguments.warmup));
  }
  ASSIGN_OR_RETURN(options.timeout, TimeOf("--timeout", arguments.timeout));
  options.requests = arguments.requests;
  options.connections = arguments.connections;
  options.max_in_flight = arguments.max_in_flight;
  options.session_per_request = arguments.session_per_request;
  options.phases = arguments.phases;
  for (const std::string& text : arguments.slos) {
    ASSIGN_OR_RETURN(options.slos.emplace_back(), load::ParseSlo(text));
  }
  return options;
}

absl::StatusOr<std::vector<crypto::PlaintextBytes>> ReadPictures(const std::string& folder, const Model& model,
                                                                 channel::Trailer trailer) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error)) {
      paths.push_back(entry.path().string());
    }
  }
  if (error || paths.empty()) {
    return absl::NotFoundError("--pictures " + folder + ": " + (error ? error.message() : "it holds no file"));
  }
  std::sort(paths.begin(), paths.end());
  paths.resize(std::min(paths.size(), kMaxPictures));
  std::vector<crypto::PlaintextBytes> requests;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const Bytes file, ReadFile(path, kMaxPictureFile));
    ASSIGN_OR_RETURN(const image::Image picture, image::Decode(file, path));
    ASSIGN_OR_RETURN(crypto::PlaintextBytes request, EncodePicture(picture, model, trailer));
    requests.push_back(std::move(request));
  }
  return requests;
}

// Noise: the time that a model takes does not depend on what it sees.
absl::StatusOr<std::vector<crypto::PlaintextBytes>> GenerateRequests(const Model& model, uint64_t seed,
                                                                     channel::Trailer trailer) {
  std::mt19937_64 random(seed);
  std::vector<crypto::PlaintextBytes> requests;
  for (size_t i = 0; i < kNumGenerated; ++i) {
    if (model.preprocessing.has_value()) {
      Bytes pixels(model.preprocessing->num_pixel_bytes());
      for (uint8_t& byte : pixels) {
        byte = static_cast<uint8_t>(random());
      }
      requests.push_back(channel::BuildRequest(channel::RequestKind::kPicture, pixels, trailer));
      continue;
    }
    std::vector<Tensor> inputs;
    for (const attest::TensorType& type : model.manifest.inputs) {
      Tensor& tensor = inputs.emplace_back(type.type, type.shape);
      for (float& value : tensor.mutable_values<float>()) {
        value = static_cast<float>(random() >> 40) / static_cast<float>(1 << 24);
      }
    }
    ASSIGN_OR_RETURN(crypto::PlaintextBytes request, EncodeTensors(inputs, model, trailer));
    requests.push_back(std::move(request));
  }
  return requests;
}

absl::Status WriteText(const std::string& path, const std::string& text) {
  return path.empty() ? absl::OkStatus() : WriteFileAtomically(path, AsBytes(text));
}

// That what the run is for can be written at its end; and no file is asked for twice.
absl::Status CheckFiles(const LoadArguments& arguments) {
  std::map<std::string, std::string> options;  // by the file that they name
  std::error_code ignored;                     // then CheckCanWrite says what is wrong
  for (const auto& [option, file] : {std::pair("--raw", &arguments.raw_file), std::pair("--hgrm", &arguments.hgrm_file),
                                     std::pair("--report", &arguments.report_file)}) {
    if (file->empty()) {
      continue;
    }
    const auto [other, is_new] = options.emplace(std::filesystem::weakly_canonical(*file, ignored).string(), option);
    if (!is_new) {
      return absl::InvalidArgumentError(*file + ": " + other->second + " and " + option + " would write the same file");
    }
    if (const absl::Status status = CheckCanWrite(*file); !status.ok()) {
      return absl::Status(status.code(), std::string(option) + ": " + std::string(status.message()));
    }
  }
  return absl::OkStatus();
}

// Everything but the session: wrong arguments are found before a server is bothered.
struct Setup {
  load::Options options;
  Session::Options session;
  std::unique_ptr<Transport> transport;
  std::vector<std::unique_ptr<Transport>> connections;
  std::ofstream raw;
};

absl::StatusOr<Setup> MakeSetup(const Arguments& arguments, const LoadArguments& load_arguments, const Clock& clock,
                                std::ostream& err) {
  Setup setup;
  ASSIGN_OR_RETURN(setup.options, MakeLoadOptions(load_arguments));
  RETURN_IF_ERROR(CheckFiles(load_arguments));
  setup.session.model = arguments.model;
  ASSIGN_OR_RETURN(setup.session.appraisal, MakeAppraisalPolicy(arguments));
  ASSIGN_OR_RETURN(setup.session.expectations, MakeExpectations(arguments));
  setup.session.create_timeout = setup.options.timeout;
  ASSIGN_OR_RETURN(setup.session.create_patience, ParseWait(arguments));
  setup.session.warn = [&err](const std::string& warning) { err << Printable(warning) << "\n"; };
  ASSIGN_OR_RETURN(setup.transport, MakeTransport(arguments, clock));
  for (size_t i = 0; i < setup.options.connections; ++i) {
    ASSIGN_OR_RETURN(setup.connections.emplace_back(), MakeTransport(arguments, clock));
  }
  if (!load_arguments.raw_file.empty()) {
    setup.raw.open(load_arguments.raw_file, std::ios::trunc);
    setup.raw << load::Recorder::RawHeader();
    if (!setup.raw) {
      return absl::InvalidArgumentError("--raw " + load_arguments.raw_file + ": cannot be written");
    }
  }
  return setup;
}

Generator::OnProgress ProgressTo(std::ostream& err, bool wanted) {
  if (!wanted && ::isatty(STDERR_FILENO) == 0) {
    return nullptr;
  }
  return [&err](const load::Recorder::Progress& progress, std::chrono::nanoseconds elapsed) {
    const double seconds = std::chrono::duration<double>(elapsed).count();
    err << "\r" << static_cast<int>(seconds) << " s: " << progress.answered << " answers ("
        << static_cast<int>(static_cast<double>(progress.answered) / std::max(seconds, 1e-3)) << "/s), "
        << progress.failed << " errors, p99 " << load::TimeText(progress.p99) << "   " << std::flush;
  };
}

std::string Hgrm(const std::vector<Measurement>& measurements) {
  std::string out;
  for (const Measurement& m : measurements) {
    out += measurements.size() > 1 ? "#[Level   = " + load::LevelText(m) + "]\n" : "";
    out += m.latency.PercentileDistribution();
  }
  return out;
}

double SecondsOf(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

int Fail(const absl::Status& status, std::ostream& err, int code) {
  err << "shoji: " << Describe(status) << "\n";
  return code;
}

// Where it was said to, and what came of the objectives.
int Report(const Arguments& arguments, const LoadArguments& load_arguments, const load::RunInfo& run,
           const std::vector<Measurement>& measurements, bool stopped, std::ostream& out, std::ostream& err) {
  switch (arguments.output) {
    case OutputFormat::kJson:
      out << load::JsonReport(run, measurements);
      break;
    case OutputFormat::kCsv:
      out << load::CsvReport(measurements);
      break;
    case OutputFormat::kText:
      out << load::TextReport(run, measurements);
      break;
  }
  out.flush();
  if (const absl::Status written = WriteText(load_arguments.hgrm_file, Hgrm(measurements)); !written.ok()) {
    return Fail(written, err, kExitFailure);
  }
  const std::string page = load_arguments.report_file.empty() ? "" : HtmlReport(run, measurements);
  if (const absl::Status written = WriteText(load_arguments.report_file, page); !written.ok()) {
    return Fail(written, err, kExitFailure);
  }
  // An objective that holds in a part of the time says nothing of the whole.
  int code = stopped && !run.options.slos.empty() ? kExitFailure : kExitOk;
  for (const Measurement& m : measurements) {
    for (const load::Slo& slo : run.options.slos) {
      if (!m.Keeps(slo)) {
        err << "shoji: " << load::LevelText(m) << ": " << slo.text << " was not kept\n";
        code = kExitObjectiveBroken;
      }
    }
  }
  const bool any =
      std::any_of(measurements.begin(), measurements.end(), [](const Measurement& m) { return m.answered > 0; });
  if (stopped) {
    const size_t num_left = run.options.levels.size() - measurements.size();
    err << "shoji: stopped by a signal after " << static_cast<int64_t>(SecondsOf(measurements.back().took)) << " s of "
        << load::LevelText(measurements.back())
        << (num_left > 0 ? ", with " + std::to_string(num_left) + " more levels to go" : "") << "\n";
    return any ? code : kExitFailure;
  }
  return any ? code : Fail(absl::UnavailableError("no request was answered"), err, kExitFailure);
}

}  // namespace

int RunLoad(const Arguments& arguments, const LoadArguments& load_arguments, std::ostream& out, std::ostream& err) {
  const RealClock clock;
  absl::StatusOr<Setup> setup = MakeSetup(arguments, load_arguments, clock, err);
  if (!setup.ok()) {
    return Fail(setup.status(), err, kExitUsage);
  }
  const auto session = Session::Create(std::move(setup->session), std::move(setup->transport));
  if (!session.ok()) {
    return Fail(session.status(), err, IsRefusal(session.status()) ? kExitRefused : kExitFailure);
  }
  const Model& model = *(*session)->model();
  const channel::Trailer trailer = setup->options.phases ? channel::Trailer::kPhases : channel::Trailer::kNone;
  absl::StatusOr<std::vector<crypto::PlaintextBytes>> requests =
      load_arguments.pictures.empty() ? GenerateRequests(model, setup->options.seed, trailer)
                                      : ReadPictures(load_arguments.pictures, model, trailer);
  if (!requests.ok()) {
    return Fail(requests.status(), err, kExitUsage);
  }
  load::RunInfo run;
  run.server = arguments.server;
  run.model = Printable(model.manifest.name);
  run.evidence = NameOf((*session)->evidence_kind());
  run.version = std::string("shoji ") + SHOJI_VERSION;
  run.started = TimeText(clock.SystemNow());
  run.options = setup->options;
  Generator generator(
      setup->options,
      {.session = session->get(), .connections = std::move(setup->connections), .requests = *std::move(requests)},
      clock, setup->raw.is_open() ? &setup->raw : nullptr, ProgressTo(err, load_arguments.progress));
  std::vector<Measurement> measurements;
  {
    const StopsAtSignal stops(generator);
    for (const double level : setup->options.levels) {
      absl::StatusOr<Measurement> measured = generator.Run(level);
      if (!measured.ok()) {
        return Fail(measured.status(), err, IsRefusal(measured.status()) ? kExitRefused : kExitFailure);
      }
      measurements.push_back(*std::move(measured));
      if (generator.stopped()) {
        break;
      }
    }
  }
  if (setup->raw.is_open() && !setup->raw.flush()) {
    return Fail(absl::DataLossError("--raw " + load_arguments.raw_file + ": could not be written in full"), err,
                kExitFailure);
  }
  return Report(arguments, load_arguments, run, measurements, generator.stopped(), out, err);
}

}  // namespace shoji::client

// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <strings.h>

#include <utility>

#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/npy.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/image/decode.h"

namespace shoji::client {
namespace {

constexpr size_t kMaxPictureFile = size_t{256} << 20;

// Session options from the command line; every error is a usage error.
absl::StatusOr<Session::Options> MakeOptions(const Arguments& arguments, std::ostream& err) {
  Session::Options options;
  options.model = arguments.model;
  ASSIGN_OR_RETURN(options.appraisal, MakeAppraisalPolicy(arguments));
  ASSIGN_OR_RETURN(options.expectations, MakeExpectations(arguments));
  ASSIGN_OR_RETURN(options.create_timeout, ParseDuration(arguments.deadline));
  ASSIGN_OR_RETURN(options.create_patience, ParseWait(arguments));
  options.warn = [&err](const std::string& warning) { err << Printable(warning) << "\n"; };
  return options;
}

void Wipe(Bytes& file) {
  if (!file.empty()) {
    explicit_bzero(file.data(), file.size());
  }
}

// An array without the batch dimension stands for a batch of one.
void AddBatch(Tensor& tensor, const Model& model) {
  const Shape& want = model.manifest.inputs.front().shape;
  if (want.rank() == tensor.shape().rank() + 1 && want[0] == 1 && want.num_elements() == tensor.num_elements()) {
    tensor.Reshape(want);
  }
}

absl::StatusOr<Answer> InferFile(Session& session, const std::string& path, SteadyTime deadline) {
  ASSIGN_OR_RETURN(Bytes file, ReadFile(path, kMaxPictureFile));
  if (!IsNpy(file)) {
    const absl::StatusOr<image::Image> picture = image::Decode(file, path);
    Wipe(file);
    return picture.ok() ? session.Infer(*picture, deadline) : picture.status();
  }
  absl::StatusOr<Tensor> tensor = ParseNpy(file);
  Wipe(file);
  if (!tensor.ok()) {
    return absl::Status(tensor.status().code(), path + ": " + std::string(tensor.status().message()));
  }
  AddBatch(*tensor, *session.model());
  absl::StatusOr<Answer> answer = session.Infer({&*tensor, 1}, deadline);
  tensor->Wipe();
  return answer;
}

int Fail(const absl::Status& status, std::ostream& err, int code) {
  err << "shoji: " << Describe(status) << "\n";
  return code;
}

}  // namespace

int RunInfer(const Arguments& arguments, std::ostream& out, std::ostream& err) {
  const RealClock clock;
  absl::StatusOr<Session::Options> options = MakeOptions(arguments, err);
  absl::StatusOr<std::unique_ptr<Transport>> transport =
      options.ok() ? MakeTransport(arguments, clock) : options.status();
  if (!transport.ok()) {
    return Fail(transport.status(), err, kExitUsage);
  }
  const std::chrono::milliseconds timeout = options->create_timeout;
  const auto session = Session::Create(*std::move(options), *std::move(transport));
  if (!session.ok()) {
    return Fail(session.status(), err, IsRefusal(session.status()) ? kExitRefused : kExitFailure);
  }
  int exit_code = kExitOk;
  for (const std::string& path : arguments.pictures) {
    const absl::StatusOr<Answer> answer = InferFile(**session, path, clock.SteadyNow() + timeout);
    const bool json = arguments.output == OutputFormat::kJson;
    if (answer.ok()) {
      out << (json ? AnswerJson(path, *answer, arguments.top) : AnswerText(path, *answer, arguments.top));
      out.flush();
      continue;
    }
    err << "shoji: " << Printable(path) << ": " << Describe(answer.status()) << "\n";
    if (json) {
      out << ErrorJson(path, answer.status());
    }
    if (IsRefusal(answer.status())) {
      return kExitRefused;
    }
    exit_code = kExitFailure;
  }
  return exit_code;
}

}  // namespace shoji::client

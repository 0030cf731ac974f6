// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/release.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "client/commands/commands.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/sealed_model/key_file.h"
#include "lib/sealed_model/open.h"

namespace shoji::client {
namespace {

struct OwnedModel {
  sealed_model::SealedFile file;
  sealed_model::FileKey key;
};

// The sealed file, whole, and its key.
absl::StatusOr<OwnedModel> ReadOwned(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const sealed_model::OwnerKey owner_key, sealed_model::ReadKeyFile(arguments.model_key_file));
  ASSIGN_OR_RETURN(sealed_model::SealedFile file, sealed_model::SealedFile::Open(arguments.sealed_file));
  ASSIGN_OR_RETURN(sealed_model::FileKey key, file.KeyFrom(owner_key));
  ASSIGN_OR_RETURN(sealed_model::SealedFile again, sealed_model::SealedFile::Open(arguments.sealed_file));
  if (again.digest() != file.digest()) {
    return absl::FailedPreconditionError(arguments.sealed_file + " changes while it is read");
  }
  ASSIGN_OR_RETURN(const auto reader, sealed_model::PlaintextReader::Create(std::move(again), key));
  RETURN_IF_ERROR(sealed_model::CheckAllChunks(*reader));
  return OwnedModel{std::move(file), std::move(key)};
}

void PrintAwaited(const attest::AwaitedModel& model, std::ostream& out) {
  out << "model " << Printable(model.name) << " awaits its key; the enclave means to run\n";
  for (const attest::PlannedSegment& segment : model.plan) {
    out << "  " << Printable(segment.start) << ": " << Printable(segment.place)
        << (segment.confidential ? ", confidential" : "") << "\n";
  }
}

void PrintServed(const attest::ModelManifest& model, std::ostream& out) {
  out << "model " << Printable(model.name) << " is served\n  model digest  " << HexEncode(model.model_digest)
      << "\n  plan digest   " << HexEncode(model.plan_digest) << "\n  results       "
      << model.sealed->results.ToString() << "\n  queries       " << model.sealed->queries_per_release
      << " for this release\n";
}

// Releases to the enclaves that await the key, `max_enclaves` at most; where none does, to one that serves the model,
// to renew its budget. Each release allows a whole budget, so that their number is the owner's to say.
absl::Status ReleaseToAll(KeyReleaser& releaser, size_t max_enclaves, SteadyTime deadline, std::ostream& out) {
  size_t released = 0;
  while (true) {
    ASSIGN_OR_RETURN(const SealedModelState state, releaser.Attest(deadline));
    if (state.awaited.empty() && released > 0) {
      PrintServed(*state.served, out);
      return absl::OkStatus();
    }
    if (released == max_enclaves) {
      out << "NOTE: another enclave awaits the key; --enclaves " << max_enclaves + 1
          << " would release to it too, and allow as many queries again\n";
      return absl::OkStatus();
    }
    for (const attest::AwaitedModel& model : state.awaited) {
      PrintAwaited(model, out);
    }
    if (const absl::Status outcome = releaser.Release(state, deadline); ReasonOf(outcome) == Reason::kStaleManifest) {
      out << "the enclave has reloaded since; appraising it anew\n";
      continue;
    } else if (!outcome.ok()) {
      return outcome;
    }
    ++released;
    out << "released to the enclave with key " << HexEncode(attest::KeyIdOf(state.appraisal.manifest->hpke_public_key))
        << (state.awaited.empty() ? ": its budget is renewed" : "") << "\n";
    if (state.awaited.empty()) {
      PrintServed(*state.served, out);
      return absl::OkStatus();
    }
  }
}

int Fail(const absl::Status& status, std::ostream& err, int code) {
  err << "shoji: " << Describe(status) << "\n";
  return code;
}

}  // namespace

int RunRelease(const Arguments& arguments, std::ostream& out, std::ostream& err) {
  const RealClock clock;
  KeyReleaser::Options options;
  options.warn = [&err](const std::string& warning) { err << Printable(warning) << "\n"; };
  absl::StatusOr<AppraisalPolicy> policy = MakeAppraisalPolicy(arguments);
  const auto timeout = policy.ok() ? ParseDuration(arguments.deadline) : policy.status();
  const auto wait = timeout.ok() ? ParseWait(arguments) : timeout.status();
  absl::StatusOr<std::unique_ptr<Transport>> transport = wait.ok() ? MakeTransport(arguments, clock) : wait.status();
  if (!transport.ok()) {
    return Fail(transport.status(), err, kExitUsage);
  }
  options.appraisal = *std::move(policy);
  options.patience = wait->value_or(kFirstPatience);
  const absl::StatusOr<OwnedModel> owned = ReadOwned(arguments);
  if (!owned.ok()) {
    return Fail(owned.status(), err, kExitFailure);
  }
  const auto releaser = KeyReleaser::Create(std::move(options), *std::move(transport), owned->file, owned->key);
  if (!releaser.ok()) {
    return Fail(releaser.status(), err, IsRefusal(releaser.status()) ? kExitRefused : kExitUsage);
  }
  const absl::Status released = ReleaseToAll(**releaser, arguments.enclaves,
                                             clock.SteadyNow() + std::max(*timeout, wait->value_or(*timeout)), out);
  if (!released.ok()) {
    return Fail(released, err, IsRefusal(released) ? kExitRefused : kExitFailure);
  }
  return kExitOk;
}

}  // namespace shoji::client

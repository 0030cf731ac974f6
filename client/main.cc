// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// shoji: the client's command line.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/load.h"
#include "lib/crypto/secret_bytes.h"
#include "lib/rpc/runtime.h"

namespace {

using shoji::client::Arguments;
using shoji::client::LoadArguments;
using shoji::client::OutputFormat;

// A model may have to be decrypted and compiled meanwhile.
constexpr char kReleaseDeadline[] = "60s";

// Returns the option that names the server.
CLI::Option* AddServer(CLI::App& command, Arguments& arguments,
                       const std::vector<std::string>& formats = {"text", "json"}) {
  auto* const server = command.add_option("--server", arguments.server, "HOST:PORT or unix:PATH of shoji-server");
  auto* const plaintext = command.add_flag("--plaintext", arguments.plaintext,
                                           "connect without TLS (requests stay encrypted to the enclave)");
  command.add_option("--ca", arguments.ca_file, "PEM file of the CA that signs the server's certificate")
      ->excludes(plaintext);
  command.add_option("--server-name", arguments.server_name, "name expected in the server's certificate");
  command.add_option("--token-file", arguments.token_file, "file with the bearer token");
  command.add_option("--deadline", arguments.deadline, "time for each picture or call, as 500ms, 10s, 2m or 1h")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--output",
          [&arguments](const std::string& format) {
            arguments.output = format == "json"  ? OutputFormat::kJson
                               : format == "csv" ? OutputFormat::kCsv
                                                 : OutputFormat::kText;
          },
          "how to print")
      ->check(CLI::IsMember(formats))
      ->default_str("text");
  return server;
}

void AddEvidence(CLI::App& command, Arguments& arguments) {
  command.add_option("--policy", arguments.policy_file,
                     "appraisal policy (YAML): which enclaves to trust; without it no evidence of a TEE is accepted");
  command.add_flag("--allow-simulated", arguments.allow_simulated,
                   "accept simulated evidence: NO confidentiality, for trying out");
  command.add_option("--simulated-key", arguments.simulated_key_files,
                     "PEM file of the Ed25519 public key that signs simulated evidence");
}

void AddAppraisal(CLI::App& command, Arguments& arguments) {
  command.add_option("--model", arguments.model, "name of the model; not needed where there is only one");
  AddEvidence(command, arguments);
  command.add_flag("--allow-open-result", arguments.allow_open_result,
                   "accept a policy that shows the answer to the accelerator");
  command.add_option("--expect-model-digest", arguments.expected_model_digest,
                     "refuse any other ONNX file than the one with this SHA-256");
  command.add_option("--expect-plan-digest", arguments.expected_plan_digest,
                     "refuse any other resolved plan than the one with this SHA-256");
}

void AddWait(CLI::App& command, Arguments& arguments) {
  command
      .add_option("--wait", arguments.wait,
                  "how long a server that does not answer yet is tried at the beginning; 0s: not again")
      ->default_str("5s, or the time of a call where that is shorter");
}

void AddVerify(CLI::App& command, Arguments& arguments) {
  AddServer(command, arguments);
  AddWait(command, arguments);
  AddAppraisal(command, arguments);
  command.add_flag("--explain", arguments.explain,
                   "say for every failed step what would make it pass, and print all that the evidence says");
  command.add_option("--save-evidence", arguments.save_evidence_file,
                     "write the evidence to a file, to be appraised again with --evidence");
  command.add_option("--evidence", arguments.evidence_file, "appraise saved evidence instead of a server's");
  command.add_option("--quote", arguments.quote_file,
                     "appraise a bare quote or report, all but what it is bound to: never accepted");
  command.add_option("--kind", arguments.quote_kind, "of --quote: sgx, tdx or sev-snp");
  command.add_option("--verification-time", arguments.verification_time,
                     "of --evidence and --quote: judge as of this time (RFC 3339) instead of now");
  command.footer(shoji::client::ExitCodesHelp());
}

void AddLoad(CLI::App& command, Arguments& arguments, LoadArguments& load) {
  AddServer(command, arguments, {"text", "json", "csv"})->required();
  AddAppraisal(command, arguments);
  command.remove_option(command.get_option("--deadline"));
  AddWait(command, arguments);
  auto* const concurrency = command.add_option(
      "--concurrency", load.concurrency, "requests in flight at a time: N, or first:last:step one after the other");
  auto* const rate = command.add_option(
      "--rate", load.rate, "requests a second, whatever the server does: R, or first:last:step one after the other");
  rate->excludes(concurrency);
  command.add_option("--arrival", load.arrival, "of --rate: how they are spread")
      ->check(CLI::IsMember({"constant", "poisson"}))
      ->capture_default_str();
  command.add_option("--seed", load.seed, "of poisson arrivals and generated pictures")->capture_default_str();
  command.add_option("--duration", load.duration, "of each level, after its warm-up")->capture_default_str();
  command.add_option("--requests", load.requests, "end each level after so many instead")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 53U));
  command.add_option("--warmup", load.warmup, "before each level, not counted")->capture_default_str();
  command.add_option("--connections", load.connections, "HTTP/2 connections, each with a session of its own")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command.add_option("--max-in-flight", load.max_in_flight, "of --rate: more wait, and count as late")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command.add_option("--timeout", load.timeout, "of each request")->capture_default_str();
  command.add_flag("--session-per-request", load.session_per_request, "open a session for every request");
  command.add_flag("--phases", load.phases, "ask the enclave where the time goes; it comes back encrypted");
  command.add_flag("--progress", load.progress, "show progress also where standard error is no terminal");
  command.add_option("--pictures", load.pictures, "folder of pictures to send in turn; without it they are made up");
  command.add_option("--raw", load.raw_file, "write every sample to this file (CSV)");
  command.add_option("--hgrm", load.hgrm_file, "write the distribution of latency, as HdrHistogram's tools read it");
  command.add_option("--report", load.report_file, "write a page with charts (HTML, self-contained)");
  command.add_option("--slo", load.slos, "an objective: p99=50ms, max=2s, errors=0.1%, rate=1000; may be repeated");
  command.footer(
      "Exit codes: 0 done, 1 error or nothing was answered, 2 wrong arguments, 3 refused by this client,\n"
      "10 an objective was not kept. Stopped by a signal it reports what it has, and cannot say that objectives were "
      "kept: 1");
}

constexpr char kExitCodes[] =
    "Exit codes: 0 done, 1 error, 2 wrong arguments, 3 refused by this client, and nothing was sent";

int Run(int argc, char** argv) {
  CLI::App app("Encrypted inference on pictures that the service operator must not see");
  app.set_version_flag("--version", std::string("shoji ") + SHOJI_VERSION);
  app.require_subcommand(1);
  Arguments arguments;
  CLI::App& infer = *app.add_subcommand("infer", "classify pictures (PNG, JPEG, BMP) and tensors (.npy)");
  infer.add_option("PICTURE", arguments.pictures, "files to classify")->required();
  infer.add_option("--top", arguments.top, "how many classes to print")->capture_default_str();
  LoadArguments load_arguments;
  CLI::App& load = *app.add_subcommand("load", "send load, and measure latency without coordinated omission");
  AddLoad(load, arguments, load_arguments);
  CLI::App& models = *app.add_subcommand("models", "list the server's models");
  CLI::App& verify = *app.add_subcommand("verify", "appraise the enclave's evidence and say step by step why");
  CLI::App& release = *app.add_subcommand("release", "give the key of a sealed model to the enclaves that await it");
  release.add_option("--sealed", arguments.sealed_file, "the sealed model, as it was given to the operator")
      ->required();
  release.add_option("--key", arguments.model_key_file, "the owner's key, with which it was sealed")->required();
  release
      .add_option(
          "--enclaves", arguments.enclaves,
          "to how many enclaves that await the key it goes at most; each may answer all the queries of a release")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  for (CLI::App* const command : {&infer, &models, &release}) {
    AddServer(*command, arguments)->required();
  }
  AddWait(infer, arguments);
  AddWait(release, arguments);
  AddAppraisal(infer, arguments);
  AddEvidence(release, arguments);
  infer.footer(kExitCodes);
  release.footer(kExitCodes);
  AddVerify(verify, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? shoji::client::kExitOk : shoji::client::kExitUsage;
  }
  if (release.parsed() && release.count("--deadline") == 0) {
    arguments.deadline = kReleaseDeadline;
  }
  shoji::rpc::SilenceGrpcLog();
  if (const absl::Status status = shoji::crypto::InitializeSecretMemory(); !status.ok()) {
    std::cerr << "shoji: " << status.message() << "\n";
    return shoji::client::kExitFailure;
  }
  if (load.parsed()) {
    return shoji::client::RunLoad(arguments, load_arguments, std::cout, std::cerr);
  }
  if (infer.parsed()) {
    return shoji::client::RunInfer(arguments, std::cout, std::cerr);
  }
  if (release.parsed()) {
    return shoji::client::RunRelease(arguments, std::cout, std::cerr);
  }
  return models.parsed() ? shoji::client::RunModels(arguments, std::cout, std::cerr)
                         : shoji::client::RunVerify(arguments, std::cout, std::cerr);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shoji: %s\n", error.what());
    return shoji::client::kExitFailure;
  }
}

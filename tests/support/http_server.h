// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A collateral service on a port of 127.0.0.1, for tests, with or without TLS: answers as it is told to, and counts who
// asks for what.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/bytes.h"

struct ssl_ctx_st;

namespace shoji::testing {

struct HttpAnswer {
  Bytes body = {};
  std::string header = {};  // lines, each with its end
  int status = 200;
  bool is_silent = false;  // takes the request, and never answers
};

// Thread-safe.
class HttpServer {
 public:
  HttpServer() : HttpServer("") {}
  // With TLS, under `stem`.pem and its key in `stem`.key.
  explicit HttpServer(const std::string& stem);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // "http://127.0.0.1:PORT", or https.
  std::string url() const {
    return (tls_ == nullptr ? "http://127.0.0.1:" : "https://127.0.0.1:") + std::to_string(port_);
  }
  // What is answered to a request for `target` ("/path?query"); 404 for any other.
  void Serve(const std::string& target, HttpAnswer answer);
  // The targets asked for so far, in order, and whole requests as they came.
  std::vector<std::string> targets() const;
  std::vector<std::string> requests() const;
  void ForgetRequests();

 private:
  void Run();
  void AnswerOne(int connection);

  const std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> tls_;  // null: without
  int listener_ = -1;
  int port_ = 0;
  mutable absl::Mutex mu_;
  std::map<std::string, HttpAnswer> answers_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mu_);
  std::vector<int> silent_ ABSL_GUARDED_BY(mu_);  // connections that wait for an answer
  std::jthread thread_;
};

}  // namespace shoji::testing

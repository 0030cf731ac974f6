// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "lib/base/check.h"

namespace shoji::testing {
namespace {

constexpr size_t kMaxHead = size_t{64} << 10;

std::string ReadHead(int connection) {
  std::string head;
  char buffer[4096];
  while (head.find("\r\n\r\n") == std::string::npos && head.size() < kMaxHead) {
    const ssize_t read = recv(connection, buffer, sizeof(buffer), 0);
    if (read <= 0) {
      break;
    }
    head.append(buffer, static_cast<size_t>(read));
    if (!head.starts_with('G')) {
      break;  // no HTTP, but a TLS handshake, say: who sent it waits for an answer
    }
  }
  return head;
}

void SendAll(int connection, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(connection, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return;  // the client has heard enough
    }
    text.remove_prefix(static_cast<size_t>(sent));
  }
}

std::string TargetOf(const std::string& request) {
  const size_t begin = request.find(' ') + 1;
  return request.substr(begin, request.find(' ', begin) - begin);
}

}  // namespace

HttpServer::HttpServer() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  SHOJI_CHECK(bind(listener_, generic, length) == 0 && listen(listener_, 16) == 0 &&
              getsockname(listener_, generic, &length) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this] { Run(); });
}

HttpServer::~HttpServer() {
  shutdown(listener_, SHUT_RDWR);  // ends accept()
  thread_.join();
  close(listener_);
  const absl::MutexLock lock(&mu_);
  for (const int connection : silent_) {
    close(connection);
  }
}

void HttpServer::Serve(const std::string& target, HttpAnswer answer) {
  const absl::MutexLock lock(&mu_);
  answers_[target] = std::move(answer);
}

std::vector<std::string> HttpServer::targets() const {
  std::vector<std::string> out;
  for (const std::string& request : requests()) {
    out.push_back(TargetOf(request));
  }
  return out;
}

std::vector<std::string> HttpServer::requests() const {
  const absl::MutexLock lock(&mu_);
  return requests_;
}

void HttpServer::ForgetRequests() {
  const absl::MutexLock lock(&mu_);
  requests_.clear();
}

void HttpServer::Run() {
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) {
      return;
    }
    AnswerOne(connection);
  }
}

void HttpServer::AnswerOne(int connection) {
  const std::string request = ReadHead(connection);
  HttpAnswer answer = {.status = 404};
  {
    const absl::MutexLock lock(&mu_);
    requests_.push_back(request);
    if (const auto found = answers_.find(TargetOf(request)); found != answers_.end()) {
      answer = found->second;
    }
    if (answer.is_silent) {
      silent_.push_back(connection);
      return;
    }
  }
  // No length: what ends the body is the end of the connection, so that a client's own limit is what bounds it.
  SendAll(connection, "HTTP/1.1 " + std::to_string(answer.status) + " -\r\nConnection: close\r\n" + answer.header +
                          "\r\n" + ToString(answer.body));
  shutdown(connection, SHUT_WR);
  ReadHead(connection);  // until the client has read it and hangs up
  close(connection);
}

}  // namespace shoji::testing

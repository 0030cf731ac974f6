// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include <openssl/ssl.h>

#include "lib/base/check.h"

namespace shoji::testing {
namespace {

constexpr size_t kMaxHead = size_t{64} << 10;

// A connection, as plain or as TLS. Not the owner of the socket.
class Peer {
 public:
  Peer(int connection, SSL_CTX* tls)
      : connection_(connection), ssl_(tls == nullptr ? nullptr : SSL_new(tls), SSL_free) {
    if (ssl_ != nullptr) {
      SSL_set_fd(ssl_.get(), connection);
    }
  }
  // Whether the client likes the certificate, or there is none.
  bool Accept() { return ssl_ == nullptr || SSL_accept(ssl_.get()) == 1; }
  ssize_t Read(char* buffer, size_t size) {
    return ssl_ == nullptr ? recv(connection_, buffer, size, 0) : SSL_read(ssl_.get(), buffer, static_cast<int>(size));
  }
  void SendAll(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ssl_ == nullptr ? send(connection_, text.data(), text.size(), MSG_NOSIGNAL)
                                           : SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
      if (sent <= 0) {
        return;  // the client has heard enough
      }
      text.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void EndOfAnswer() {
    if (ssl_ != nullptr) {
      SSL_shutdown(ssl_.get());
    }
    shutdown(connection_, SHUT_WR);
  }

 private:
  const int connection_;
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
};

std::string ReadHead(Peer& peer) {
  std::string head;
  char buffer[4096];
  while (head.find("\r\n\r\n") == std::string::npos && head.size() < kMaxHead) {
    const ssize_t read = peer.Read(buffer, sizeof(buffer));
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

SSL_CTX* LoadTls(const std::string& stem) {
  if (stem.empty()) {
    return nullptr;
  }
  signal(SIGPIPE, SIG_IGN);  // SSL_write knows no MSG_NOSIGNAL
  SSL_CTX* const out = SSL_CTX_new(TLS_server_method());
  SHOJI_CHECK(out != nullptr && SSL_CTX_use_certificate_chain_file(out, (stem + ".pem").c_str()) == 1 &&
              SSL_CTX_use_PrivateKey_file(out, (stem + ".key").c_str(), SSL_FILETYPE_PEM) == 1);
  return out;
}

std::string TargetOf(const std::string& request) {
  const size_t begin = request.find(' ') + 1;
  return request.substr(begin, request.find(' ', begin) - begin);
}

}  // namespace

HttpServer::HttpServer(const std::string& stem)
    : tls_(LoadTls(stem), SSL_CTX_free), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
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
  Peer peer(connection, tls_.get());
  if (!peer.Accept()) {
    close(connection);
    return;
  }
  const std::string request = ReadHead(peer);
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
  peer.SendAll("HTTP/1.1 " + std::to_string(answer.status) + " -\r\nConnection: close\r\n" + answer.header + "\r\n" +
               ToString(answer.body));
  peer.EndOfAnswer();
  ReadHead(peer);  // until the client has read it and hangs up
  close(connection);
}

}  // namespace shoji::testing

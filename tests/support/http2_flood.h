// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A hostile gRPC caller, written by hand: it opens many calls on one connection and fills each with a message that it
// never ends, as fast as HTTP/2's windows let it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace shoji::testing {

// Thread-compatible. The destructor closes the connection.
class Http2Flood {
 public:
  // Connects to "127.0.0.1:PORT" in plaintext.
  static absl::StatusOr<std::unique_ptr<Http2Flood>> Connect(const std::string& address);
  ~Http2Flood();
  Http2Flood(const Http2Flood&) = delete;
  Http2Flood& operator=(const Http2Flood&) = delete;

  // Opens `num_calls` of `path`, each with a message said to be of `message_bytes`. `authorization` may be empty.
  void Open(int num_calls, const std::string& path, const std::string& authorization, size_t message_bytes);
  // Sends all that the windows allow, one byte short of each message, until nothing has moved for `quiet`.
  void Fill(std::chrono::milliseconds quiet);

  size_t num_sent_bytes() const { return num_sent_bytes_; }  // of messages
  size_t num_ended() const { return num_ended_; }            // calls that the server ended
  size_t num_open() const { return calls_.size(); }
  bool is_closed() const { return is_closed_; }  // by the server

 private:
  struct Call {
    int64_t window = 65535;
    size_t left = 0;
    bool has_prefix = false;
    uint32_t message_bytes = 0;
  };

  explicit Http2Flood(int fd) : fd_(fd) {}
  void SendFrame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);
  bool SendSome();     // data, whatever fits now; whether any did
  bool ReceiveSome();  // whether anything came
  void HandleFrame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);
  void Flush();

  const int fd_;
  std::string out_;  // frames not yet taken by the socket
  std::string in_;   // of a frame that is not whole
  int64_t window_ = 65535;
  int64_t initial_window_ = 65535;
  uint32_t next_stream_ = 1;
  std::map<uint32_t, Call> calls_;
  size_t num_sent_bytes_ = 0;
  size_t num_ended_ = 0;
  bool is_closed_ = false;
};

}  // namespace shoji::testing

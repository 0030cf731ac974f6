// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/http2_flood.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace shoji::testing {
namespace {

// Frame types and flags of RFC 9113 section 6.
constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kResetStream = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kWindowUpdate = 8;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndHeaders = 4;

constexpr size_t kFrameHeader = 9;
constexpr size_t kMaxFrame = 16384;
constexpr size_t kMaxUnsent = size_t{1} << 20;

std::string BigEndian(uint64_t value, size_t num_bytes) {
  std::string out;
  for (size_t i = num_bytes; i-- > 0;) {
    out.push_back(static_cast<char>(value >> (8 * i)));
  }
  return out;
}

uint32_t ReadBigEndian(const std::string& bytes, size_t at, size_t num_bytes) {
  uint32_t out = 0;
  for (size_t i = 0; i < num_bytes; ++i) {
    out = out << 8 | static_cast<uint8_t>(bytes[at + i]);
  }
  return out;
}

// HPACK (RFC 7541): a string of fewer than 127 bytes, and a field that enters no table.
std::string HpackString(const std::string& text) { return static_cast<char>(text.size()) + text; }
std::string HpackField(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + HpackString(name) + HpackString(value);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Http2Flood>> Http2Flood::Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    ::close(fd);
    return absl::UnavailableError(std::string("cannot connect: ") + std::strerror(errno));
  }
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  std::unique_ptr<Http2Flood> flood(new Http2Flood(fd));
  flood->out_ = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  flood->SendFrame(kSettings, 0, 0, "");
  return flood;
}

Http2Flood::~Http2Flood() { ::close(fd_); }

void Http2Flood::Open(int num_calls, const std::string& path, const std::string& authorization, size_t message_bytes) {
  std::string headers = HpackField(":method", "POST") + HpackField(":scheme", "http") + HpackField(":path", path) +
                        HpackField(":authority", "localhost") + HpackField("content-type", "application/grpc") +
                        HpackField("te", "trailers");
  if (!authorization.empty()) {
    headers += HpackField("authorization", authorization);
  }
  for (int i = 0; i < num_calls; ++i, next_stream_ += 2) {
    SendFrame(kHeaders, kEndHeaders, next_stream_, headers);
    Call& call = calls_[next_stream_];
    call.window = initial_window_;
    call.message_bytes = static_cast<uint32_t>(message_bytes);
    call.left = message_bytes - 1;
  }
}

void Http2Flood::Fill(std::chrono::milliseconds quiet) {
  while (!is_closed_) {
    const bool has_sent = SendSome();
    Flush();
    const bool has_received = ReceiveSome();
    if (has_sent || has_received) {
      continue;
    }
    pollfd ready = {fd_, static_cast<int16_t>(POLLIN | (out_.empty() ? 0 : POLLOUT)), 0};
    if (::poll(&ready, 1, static_cast<int>(quiet.count())) <= 0) {
      return;
    }
  }
}

bool Http2Flood::SendSome() {
  bool has_sent = false;
  for (auto& [stream, call] : calls_) {
    const int64_t prefix = call.has_prefix ? 0 : 5;
    const int64_t room = std::min({window_, call.window, static_cast<int64_t>(kMaxFrame)}) - prefix;
    if (call.left == 0 || room <= 0 || out_.size() > kMaxUnsent) {
      continue;
    }
    const size_t size = std::min(call.left, static_cast<size_t>(room));
    std::string payload;
    if (!call.has_prefix) {
      payload = BigEndian(0, 1) + BigEndian(call.message_bytes, 4);  // gRPC's length-prefixed message
      call.has_prefix = true;
    }
    payload.append(size, 'x');
    window_ -= static_cast<int64_t>(payload.size());
    call.window -= static_cast<int64_t>(payload.size());
    call.left -= size;
    num_sent_bytes_ += size;
    SendFrame(kData, 0, stream, payload);
    has_sent = true;
  }
  return has_sent;
}

void Http2Flood::SendFrame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  out_ += BigEndian(payload.size(), 3) + BigEndian(type, 1) + BigEndian(flags, 1) + BigEndian(stream, 4) + payload;
}

void Http2Flood::Flush() {
  const ssize_t sent = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
  if (sent > 0) {
    out_.erase(0, static_cast<size_t>(sent));
  } else if (sent < 0 && errno != EAGAIN) {
    is_closed_ = true;
  }
}

bool Http2Flood::ReceiveSome() {
  std::array<char, 65536> chunk;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by recv
  const ssize_t size = ::recv(fd_, chunk.data(), chunk.size(), 0);
  if (size == 0 || (size < 0 && errno != EAGAIN)) {
    is_closed_ = true;
  }
  if (size <= 0) {
    return false;
  }
  in_.append(chunk.data(), static_cast<size_t>(size));
  size_t at = 0;
  while (in_.size() - at >= kFrameHeader) {
    const size_t length = ReadBigEndian(in_, at, 3);
    if (in_.size() - at < kFrameHeader + length) {
      break;
    }
    HandleFrame(static_cast<uint8_t>(in_[at + 3]), static_cast<uint8_t>(in_[at + 4]), ReadBigEndian(in_, at + 5, 4),
                in_.substr(at + kFrameHeader, length));
    at += kFrameHeader + length;
  }
  in_.erase(0, at);
  return true;
}

void Http2Flood::HandleFrame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  if (type == kSettings && (flags & kAck) == 0) {
    for (size_t at = 0; at + 6 <= payload.size(); at += 6) {
      constexpr uint32_t kInitialWindowSize = 4;
      if (ReadBigEndian(payload, at, 2) == kInitialWindowSize) {
        const int64_t window = ReadBigEndian(payload, at + 2, 4);
        for (auto& [id, call] : calls_) {
          call.window += window - initial_window_;
        }
        initial_window_ = window;
      }
    }
    SendFrame(kSettings, kAck, 0, "");
  } else if (type == kPing && (flags & kAck) == 0) {
    SendFrame(kPing, kAck, 0, payload);
  } else if (type == kWindowUpdate) {
    const int64_t more = ReadBigEndian(payload, 0, 4);
    if (stream == 0) {
      window_ += more;
    } else if (const auto call = calls_.find(stream); call != calls_.end()) {
      call->second.window += more;
    }
  } else if (type == kResetStream || ((type == kHeaders || type == kData) && (flags & kEndStream) != 0)) {
    num_ended_ += calls_.erase(stream);
  }
}

}  // namespace shoji::testing

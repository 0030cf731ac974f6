// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/collateral/http_get.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "lib/attest/appraisal/collateral_services.h"

namespace shoji::client {
namespace {

constexpr long kMaxRedirects = 3;
constexpr size_t kMaxHeaders = 100;

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(char* text) const { curl_free(text); }
};

// What the callbacks fill.
struct Receiver {
  size_t max_bytes;
  bool too_long = false;
  HttpReply reply;
};

size_t ReceiveBody(const char* data, size_t size, size_t count, void* user) {
  auto& receiver = *static_cast<Receiver*>(user);
  const size_t length = size * count;
  if (length > receiver.max_bytes - receiver.reply.body.size()) {
    receiver.too_long = true;
    return 0;  // ends the transfer
  }
  Append(receiver.reply.body, std::string_view(data, length));
  return length;
}

// One line of the head at a time; a new status line, after a redirect, begins anew.
size_t ReceiveHeader(const char* data, size_t size, size_t count, void* user) {
  auto& receiver = *static_cast<Receiver*>(user);
  const std::string_view line(data, size * count);
  const size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    receiver.reply = {};
  } else if (colon != std::string_view::npos && receiver.reply.headers.size() < kMaxHeaders) {
    const std::string name = absl::AsciiStrToLower(std::string(line.substr(0, colon)));
    receiver.reply.headers[name] = std::string(absl::StripAsciiWhitespace(std::string(line.substr(colon + 1))));
  }
  return line.size();
}

absl::Status ConfigureTransfer(CURL* curl, const std::string& url, const HttpLimits& limits, Receiver& receiver) {
  const bool plain = attest::IsPlainHttp(url);
  bool good = true;
  const auto set = [&](CURLoption option, auto value) {
    good = good && curl_easy_setopt(curl, option, value) == CURLE_OK;
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(CURLOPT_FOLLOWLOCATION, plain ? 0L : 1L);
  set(CURLOPT_MAXREDIRS, kMaxRedirects);
  if (plain) {
    set(CURLOPT_NOPROXY, "*");  // to this machine, whatever the environment says
  }
  if (!limits.ca_file.empty()) {
    // And no folder of authorities beside it, which libcurl would take too.
    set(CURLOPT_CAINFO, limits.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    set(CURLOPT_PROXY_CAINFO, limits.ca_file.c_str());
    set(CURLOPT_PROXY_CAPATH, static_cast<const char*>(nullptr));
  }
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(limits.timeout.count()));
  set(CURLOPT_MAXFILESIZE, static_cast<long>(limits.max_bytes));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "shoji");
  set(CURLOPT_WRITEFUNCTION, &ReceiveBody);
  set(CURLOPT_WRITEDATA, &receiver);
  set(CURLOPT_HEADERFUNCTION, &ReceiveHeader);
  set(CURLOPT_HEADERDATA, &receiver);
  return good ? absl::OkStatus() : absl::InternalError("libcurl lacks an option that fetching needs");
}

absl::Status TransferError(CURLcode code, const std::string& url, const HttpLimits& limits, const Receiver& receiver) {
  if (receiver.too_long || code == CURLE_FILESIZE_EXCEEDED) {
    return absl::ResourceExhaustedError(url + " answers with more than " + std::to_string(limits.max_bytes) +
                                        " bytes, which no collateral has; check the address");
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return absl::DeadlineExceededError(url + " gave no whole answer within " + std::to_string(limits.timeout.count()) +
                                       " ms; try again, or raise collateral.timeout");
  }
  std::string what = curl_easy_strerror(code);
  if (code == CURLE_PEER_FAILED_VERIFICATION) {
    what += limits.ca_file.empty()
                ? ": its certificate is not one that this machine trusts; collateral.ca_file can name its authority"
                : ": its certificate is not for that host, or of none of the authorities in " + limits.ca_file;
  }
  return absl::UnavailableError(url + " cannot be reached: " + what + "; check the address and the network");
}

std::string Advice(long status) {
  if (status == 404) {
    return "the service does not know this platform, firmware or path; check the address";
  }
  if (status == 429) {
    return "too many requests; wait a while and try again";
  }
  if (status >= 300 && status < 400) {
    return "a redirect that is not followed: only https to https is; write down the address that it leads to";
  }
  if (status >= 500) {
    return "the service has a problem of its own; try again later";
  }
  return "check the address, and whether the service is open to all";
}

absl::Status CheckHttpStatus(long status, const std::string& url) {
  if (status == 200) {
    return absl::OkStatus();
  }
  const std::string message = url + " answers HTTP status " + std::to_string(status) + ": " + Advice(status);
  return status == 404 ? absl::NotFoundError(message) : absl::UnavailableError(message);
}

}  // namespace

absl::StatusOr<HttpReply> HttpGet(const std::string& url, const HttpLimits& limits) {
  // Once a process, before any transfer; libcurl is told by nobody else here.
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, CurlDeleter> curl(initialized == CURLE_OK ? curl_easy_init() : nullptr);
  if (curl == nullptr) {
    return absl::InternalError("libcurl cannot be initialized");
  }
  Receiver receiver = {.max_bytes = limits.max_bytes, .reply = {}};
  if (const absl::Status configured = ConfigureTransfer(curl.get(), url, limits, receiver); !configured.ok()) {
    return configured;
  }
  if (const CURLcode code = curl_easy_perform(curl.get()); code != CURLE_OK) {
    return TransferError(code, url, limits, receiver);
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (const absl::Status answered = CheckHttpStatus(status, url); !answered.ok()) {
    return answered;
  }
  return std::move(receiver.reply);
}

std::string PercentDecode(const std::string& text) {
  int length = 0;
  const std::unique_ptr<char, CurlDeleter> out(
      curl_easy_unescape(nullptr, text.data(), static_cast<int>(text.size()), &length));
  return out == nullptr ? "" : std::string(out.get(), static_cast<size_t>(length));
}

}  // namespace shoji::client

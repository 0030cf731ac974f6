// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/x509/openssl_values.h"

#include <ctime>
#include <memory>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/x509.h>

#include "lib/attest/x509/certificate.h"

namespace shoji::attest::x509 {
namespace {

constexpr size_t kMaxDerBytes = size_t{1} << 20;
constexpr int kFirstYear = 1900;
constexpr int kLastYear = 2200;  // SystemTime, in nanoseconds, ends in 2262

}  // namespace

absl::StatusOr<long> SizeForOpenSsl(ByteSpan der, const char* what) {
  if (der.empty() || der.size() > kMaxDerBytes) {
    return absl::InvalidArgumentError(std::string("a ") + what + " has from 1 to " + std::to_string(kMaxDerBytes) +
                                      " bytes, not " + std::to_string(der.size()));
  }
  return static_cast<long>(der.size());
}

absl::StatusOr<SystemTime> TimeOf(const ASN1_TIME* time) {
  std::tm fields = {};
  if (time == nullptr || ASN1_TIME_to_tm(time, &fields) != 1) {
    return absl::InvalidArgumentError("malformed time");
  }
  if (fields.tm_year + 1900 > kLastYear) {
    return SystemTime::max();
  }
  if (fields.tm_year + 1900 < kFirstYear) {
    return SystemTime::min();
  }
  return SystemTime(std::chrono::seconds(timegm(&fields)));
}

std::string NameToString(const X509_NAME* name) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return size <= 0 ? "" : std::string(text, static_cast<size_t>(size));
}

std::string TimeToString(SystemTime time) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time).time_since_epoch() / std::chrono::seconds(1);
  std::tm fields = {};
  char text[64] = "";
  if (gmtime_r(&seconds, &fields) == nullptr || std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &fields) == 0) {
    return "an unknown time";
  }
  return text;
}

}  // namespace shoji::attest::x509

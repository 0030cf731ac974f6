// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/appraisal/collateral_services.h"

#include <algorithm>

#include "lib/base/status_macros.h"

namespace shoji::attest {
namespace {

constexpr std::string_view kHttps = "https://";
constexpr std::string_view kHttp = "http://";
constexpr std::string_view kIntelPcs = "https://api.trustedservices.intel.com";
constexpr std::string_view kIntelRootCrl = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

bool IsUrlCharacter(char c) {
  const bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return is_alphanumeric || std::string_view("-._~/:[]%").find(c) != std::string_view::npos;
}

// The host of HOST[:PORT], brackets kept; empty when that is not its form.
std::string_view HostOf(std::string_view authority) {
  const size_t end =
      authority.starts_with('[') ? authority.find(']') + 1 : std::min(authority.find(':'), authority.size());
  const std::string_view port = authority.substr(end);
  const bool has_digits = port.size() > 1 && port.size() <= 6 && port.front() == ':' &&
                          std::all_of(port.begin() + 1, port.end(), [](char c) { return c >= '0' && c <= '9'; });
  return port.empty() || has_digits ? authority.substr(0, end) : "";
}

std::string WithoutSlash(std::string_view url) {
  return std::string(url.ends_with('/') ? url.substr(0, url.size() - 1) : url);
}

}  // namespace

bool IsPlainHttp(std::string_view url) { return url.starts_with(kHttp); }

absl::Status CheckServiceUrl(std::string_view url) {
  const auto error = [url](const std::string& what) {
    return absl::InvalidArgumentError("'" + std::string(url) + "' " + what);
  };
  const bool plain = IsPlainHttp(url);
  if (!plain && !url.starts_with(kHttps)) {
    return error("is no address of a service: expected https://HOST[:PORT][/PATH]");
  }
  std::string_view rest = url.substr(plain ? kHttp.size() : kHttps.size());
  if (!std::all_of(rest.begin(), rest.end(), IsUrlCharacter)) {
    return error("holds a character that an address of a service does not: no user, query or fragment belongs there");
  }
  const std::string_view host = HostOf(rest.substr(0, rest.find('/')));
  if (host.empty()) {
    return error("names no host: expected https://HOST[:PORT][/PATH]");
  }
  if (plain && host != "127.0.0.1" && host != "[::1]" && host != "localhost") {
    return error("is not encrypted: http:// is allowed only to 127.0.0.1, [::1] or localhost; write https://");
  }
  return absl::OkStatus();
}

absl::Status CheckCollateralServices(const CollateralServices& services) {
  for (const std::string* url : {&services.intel_url, &services.intel_root_crl_url, &services.amd_url}) {
    if (!url->empty()) {
      RETURN_IF_ERROR(CheckServiceUrl(*url));
    }
  }
  if (services.has_address() && services.cache_directory.empty()) {
    return absl::InvalidArgumentError(
        "collateral that is fetched needs a folder to be kept in: collateral.cache_directory");
  }
  if (!services.ca_file.empty() && !services.has_address()) {
    return absl::InvalidArgumentError("collateral.ca_file goes with collateral.intel_url or collateral.amd_url");
  }
  if (!services.intel_root_crl_url.empty() && services.intel_url.empty()) {
    return absl::InvalidArgumentError("collateral.intel_root_crl_url goes with collateral.intel_url");
  }
  return absl::OkStatus();
}

std::string RootCrlUrl(const CollateralServices& services) {
  if (!services.intel_root_crl_url.empty()) {
    return services.intel_root_crl_url;
  }
  const std::string service = WithoutSlash(services.intel_url);
  return service == kIntelPcs ? std::string(kIntelRootCrl) : service + "/sgx/certification/v4/rootcacrl";
}

}  // namespace shoji::attest

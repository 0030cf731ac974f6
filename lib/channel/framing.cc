// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/framing.h"

#include <algorithm>

namespace shoji::channel {
namespace {

std::array<uint8_t, 16> First16(const digest::Sha256Digest& digest) {
  std::array<uint8_t, 16> out = {};
  std::copy_n(digest.begin(), out.size(), out.begin());
  return out;
}

Bytes IdentityAad(std::string_view label, const MessageIdentity& identity) {
  Bytes out = ToBytes(label);
  Append(out, identity.session_id);
  AppendUint64(out, identity.sequence);
  AppendLengthPrefixed(out, identity.model);
  Append(out, identity.manifest_digest);
  return out;
}

}  // namespace

KeyId KeyIdOf(const crypto::HpkePublicKey& public_key) { return First16(digest::Sha256(public_key)); }

Bytes SessionInfo(const ManifestDigest& manifest_digest) {
  Bytes out = ToBytes("shoji session v1");
  Append(out, manifest_digest);
  return out;
}

SessionId SessionIdOf(const crypto::HpkeEnc& enc, const ManifestDigest& manifest_digest) {
  Bytes input = ToBytes("shoji session id v1");
  Append(input, enc);
  Append(input, manifest_digest);
  return First16(digest::Sha256(input));
}

Bytes HelloAad(const SessionId& session_id, const ManifestDigest& manifest_digest) {
  Bytes out = ToBytes("shoji hello v1");
  Append(out, session_id);
  Append(out, manifest_digest);
  return out;
}

Bytes RequestAad(const MessageIdentity& identity, Purpose purpose) {
  return IdentityAad(purpose == Purpose::kRelease ? "shoji release v1" : "shoji request v1", identity);
}

Bytes AnswerAad(const MessageIdentity& identity) { return IdentityAad("shoji answer v1", identity); }

Bytes AnswerExporterContext(uint64_t sequence, const Salt& salt) {
  Bytes out = ToBytes("shoji response v1");
  AppendUint64(out, sequence);
  Append(out, salt);
  return out;
}

}  // namespace shoji::channel

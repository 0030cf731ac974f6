// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// docs/protocol.md prints a session with fixed keys; this computes it and compares, so that the document cannot say
// anything but what the code does.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/bytes.h"
#include "lib/channel/answer_cipher.h"
#include "lib/channel/framing.h"
#include "lib/channel/payload.h"
#include "lib/crypto/hpke.h"
#include "lib/digest/sha2.h"

namespace shoji::channel {
namespace {

Bytes Counting(uint8_t first) {
  Bytes out;
  for (uint8_t i = 0; i < 32; ++i) {
    out.push_back(static_cast<uint8_t>(first + i));
  }
  return out;
}

Salt SaltCounting(uint8_t first) {
  Salt out = {};
  const Bytes bytes = Counting(first);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

using Lines = std::vector<std::pair<std::string, std::string>>;

void AddAnswer(const std::string& name, const crypto::HpkeRecipientContext& recipient, const MessageIdentity& identity,
               const Salt& salt, ByteSpan plaintext, Lines& lines) {
  const Bytes exporter_context = AnswerExporterContext(identity.sequence, salt);
  const SealedAnswer answer = internal::SealAnswerUnderSalt(recipient, identity, salt, plaintext).value();
  lines.emplace_back(name + "_salt", HexEncode(salt));
  lines.emplace_back(name + "_exporter_context", HexEncode(exporter_context));
  lines.emplace_back(name + "_key_and_nonce", HexEncode(recipient.Export(exporter_context, 44).Expose()));
  lines.emplace_back(name + "_aad", HexEncode(AnswerAad(identity)));
  if (!plaintext.empty()) {
    lines.emplace_back(name + "_plaintext", HexEncode(plaintext));
  }
  lines.emplace_back(name + "_ciphertext", HexEncode(answer.ciphertext));
}

Lines ComputeExample() {
  Lines lines;
  const auto add = [&lines](const std::string& name, ByteSpan bytes) { lines.emplace_back(name, HexEncode(bytes)); };

  const crypto::HpkeKeyPair enclave = crypto::DeriveHpkeKeyPair(Counting(0x00));
  const crypto::HpkeKeyPair ephemeral = crypto::DeriveHpkeKeyPair(Counting(0x20));
  add("enclave_private_key", enclave.private_key.Expose());
  add("enclave_public_key", enclave.public_key);
  add("key_id", KeyIdOf(enclave.public_key));
  const Bytes manifest = ToBytes("an example manifest");
  const ManifestDigest digest = digest::Sha256(manifest);
  add("manifest", manifest);
  add("manifest_digest", digest);
  Bytes report_input = ToBytes("shoji evidence v1");
  Append(report_input, digest);
  Append(report_input, Counting(0x40));
  add("nonce", Counting(0x40));
  add("report_data", digest::Sha512(report_input));

  add("ephemeral_private_key", ephemeral.private_key.Expose());
  add("info", SessionInfo(digest));
  const crypto::HpkeSender sender =
      crypto::internal::SetupBaseSenderWithEphemeral(enclave.public_key, SessionInfo(digest), ephemeral).value();
  const auto recipient = crypto::SetupBaseRecipient(sender.enc, enclave, SessionInfo(digest)).value();
  const SessionId session_id = SessionIdOf(sender.enc, digest);
  add("enc", sender.enc);
  add("session_id", session_id);

  add("hello_aad", HelloAad(session_id, digest));
  const auto seal_next = [&sender](ByteSpan aad, ByteSpan plaintext) {
    return sender.context->Seal(*sender.context->TakeSequence(), aad, plaintext).value();
  };
  add("sealed_hello", seal_next(HelloAad(session_id, digest), {}));
  const MessageIdentity hello = {
      .session_id = session_id, .sequence = kHelloSequence, .model = "", .manifest_digest = digest};
  AddAnswer("ack", *recipient, hello, SaltCounting(0x60), {}, lines);

  const MessageIdentity first = {.session_id = session_id, .sequence = 1, .model = "m", .manifest_digest = digest};
  const Bytes two_floats = {0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0xc0};  // 1.0, -2.0
  const crypto::PlaintextBytes request = BuildRequest(RequestKind::kTensors, two_floats);
  add("request_aad", RequestAad(first));
  add("request_plaintext", request.Expose());
  add("request_ciphertext", seal_next(RequestAad(first), request.Expose()));
  const Bytes one_float = {0x00, 0x00, 0x00, 0x3f};  // 0.5
  AddAnswer("answer", *recipient, first, SaltCounting(0x80), BuildAnswer(one_float).Expose(), lines);
  return lines;
}

TEST(WorkedExampleTest, TheDocumentSaysWhatTheCodeDoes) {
  std::ifstream in(std::filesystem::path(SHOJI_SOURCE_DIR) / "docs/protocol.md");
  const std::string document((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  ASSERT_FALSE(document.empty());
  for (const auto& [name, value] : ComputeExample()) {
    const std::string line = name + " = " + value + "\n";
    EXPECT_NE(document.find("\n" + line), std::string::npos) << "docs/protocol.md should say: " << line;
  }
}

}  // namespace
}  // namespace shoji::channel

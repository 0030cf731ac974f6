// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The kernel's side of evidence: Gramine's /dev/attestation, Linux's configfs-tsm and /dev/sev-guest, by their own
// rules. What it "signs" is a genuine quote or report with the report data put in its place, so its form is real and
// its signature is not. No TEE is at hand, so this is as far as the providers are tested.
//
//   /dev/attestation   each write of user_report_data replaces all of it: shorter ones are padded, longer ones cut
//   configfs-tsm       a binary attribute is committed when its file is closed, and an error there is dropped: it shows
//   as
//                      an unmoved `generation` or as a failing read. Any length but 64 is found by the first read of
//                      outblob, which makes the report; it is kept until the generation moves.
//   /dev/sev-guest     answers into the caller's memory; a table that does not fit is refused with its length
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "enclave_worker/evidence/device_files.h"

namespace shoji::testing {

class FakeKernel final : public enclave::DeviceFiles {
 public:
  // What the machine has; nothing at first.
  std::string gramine_type;  // "dcap", "none"; empty: no /dev/attestation
  std::string tsm_provider;  // "tdx_guest", ...; empty with has_tsm: ENXIO
  bool has_tsm = false;
  bool has_sev_guest = false;
  Bytes quote;  // to be signed: of the kind that fits
  size_t report_data_offset = 0;
  Bytes certificate_table;  // SEV-SNP
  uint32_t privlevel_floor = 0;

  // Errors to give instead of answers: (end of the path, errno), each once, in order.
  std::vector<std::pair<std::string, int>> errors;
  std::vector<uint32_t> vmm_errors;  // of /dev/sev-guest, each once
  bool extended_report_supported = true;
  // Called before a file is read: another process at work.
  std::function<void(const std::string& path)> before_read;
  // Whether the next commit of inblob fails unseen.
  bool drop_commit = false;

  // What happened.
  std::vector<std::string> log;  // "write inblob 64", "read outblob", ...
  size_t num_folders() const { return reports_.size(); }
  uint32_t last_privlevel = 0;
  uint32_t last_vmpl = 0;

  // Another process writes to every report folder.
  void RaceInblob(const Bytes& inblob);
  // A folder that somebody left behind.
  void LeaveFolder(const std::string& path) { reports_[path] = {}; }

  bool Exists(const std::string& path) override;
  ReadResult Read(const std::string& path, size_t max_size) override;
  int Write(const std::string& path, ByteSpan bytes) override;
  int MakeFolder(const std::string& path) override;
  int RemoveFolder(const std::string& path) override;
  int Ioctl(const std::string& path, unsigned long request, void* argument) override;

 private:
  struct Report {
    Bytes inblob;
    uint64_t write_generation = 0;
    uint64_t read_generation = 0;
    Bytes outblob;
  };

  int TakeError(const std::string& path);
  Bytes Signed(ByteSpan report_data) const;
  ReadResult ReadReport(Report& report, const std::string& name);
  void Commit(Report& report, ByteSpan inblob);

  Bytes user_report_data_ = Bytes(64);
  std::map<std::string, Report> reports_;
};

}  // namespace shoji::testing

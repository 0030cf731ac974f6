// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Replays a corpus through a fuzz target without libFuzzer, so that every finding stays a regression test under any
// compiler: each argument is a file, or a folder of files.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void RunFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> content((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(content.data()), content.size());
}

}  // namespace

int main(int argc, char** argv) {
  int num_files = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
        RunFile(entry.path());
        ++num_files;
      }
    } else {
      RunFile(argv[i]);
      ++num_files;
    }
  }
  std::printf("%d inputs replayed\n", num_files);
  return num_files == 0 ? 1 : 0;
}

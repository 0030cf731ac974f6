project_fuzzer(fuzz_tdx_quote
  SRCS tdx_quote.cc
  DEPS base attest attest_intel attest_tdx
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/tdx_quote)

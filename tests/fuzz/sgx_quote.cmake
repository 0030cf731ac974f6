project_fuzzer(fuzz_sgx_quote
  SRCS sgx_quote.cc
  DEPS base attest attest_intel attest_sgx
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/sgx_quote)

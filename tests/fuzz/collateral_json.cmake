project_fuzzer(fuzz_collateral_json
  SRCS collateral_json.cc
  DEPS base attest_intel
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/collateral_json)

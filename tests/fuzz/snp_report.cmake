project_fuzzer(fuzz_snp_report
  SRCS snp_report.cc
  DEPS base attest attest_sev_snp
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/snp_report)

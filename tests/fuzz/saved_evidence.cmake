project_fuzzer(fuzz_saved_evidence
  SRCS saved_evidence.cc
  DEPS base shoji_client
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/saved_evidence)

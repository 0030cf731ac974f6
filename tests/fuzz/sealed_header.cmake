project_fuzzer(fuzz_sealed_header
  SRCS sealed_header.cc
  DEPS base channel sealed_model
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/sealed_header)

project_fuzzer(fuzz_sealed_request
  SRCS sealed_request.cc
  DEPS channel
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/sealed_request)

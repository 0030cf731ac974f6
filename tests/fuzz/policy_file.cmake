project_fuzzer(fuzz_policy_file
  SRCS policy_file.cc
  DEPS base partition policy_file
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/policy_file)

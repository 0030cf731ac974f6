project_fuzzer(fuzz_accelerator_answer
  SRCS accelerator_answer.cc
  DEPS accelerator_client base rpc tensor proto_messages
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/accelerator_answer)

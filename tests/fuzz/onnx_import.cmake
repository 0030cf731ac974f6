project_fuzzer(fuzz_onnx_import
  SRCS onnx_import.cc
  DEPS graph
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/onnx_import)

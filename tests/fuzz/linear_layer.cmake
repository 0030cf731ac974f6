project_fuzzer(fuzz_linear_layer
  SRCS linear_layer.cc
  DEPS accelerator_linear base ring_kernels
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/linear_layer)

# Who must never link what. The folder names are the trust diagram, and this file makes the diagram true: the front end and
# the accelerator hold nothing that handles a secret, and the enclave's core holds nothing that talks to the outside.
# tests/boundary checks the same on the built binaries.
set(SECRET_HANDLING crypto channel enclave_core)

project_forbid(shoji-server TRUST secret
  LIBS ${SECRET_HANDLING} attest graph kernels execution partition onnx DNNL::dnnl)
project_forbid(shoji-accelerator TRUST secret
  LIBS ${SECRET_HANDLING} attest partition)
project_forbid(enclave_core
  LIBS rpc config telemetry metrics transport proto_services gRPC::grpc++ gRPC::grpc yaml-cpp spdlog::spdlog spdlog fmt::fmt
       prometheus-cpp::core prometheus-cpp::pull)
set(CUDA_LIBRARIES CUDA::cudart_static CUDA::cudart CUDA::cuda_driver cudart_static cudart cuda)
project_forbid(shoji-enclave TRUST untrusted LIBS ${CUDA_LIBRARIES})
project_forbid(enclave_core TRUST untrusted LIBS ${CUDA_LIBRARIES})
project_forbid(shoji TRUST untrusted
  LIBS graph kernels execution partition enclave_core onnx DNNL::dnnl)
project_forbid(shoji_collateral TRUST secret
  LIBS ${SECRET_HANDLING} proto_services gRPC::grpc++ gRPC::grpc)
project_forbid(shoji-enclave LIBS CURL::libcurl curl)
project_forbid(shoji-model TRUST untrusted LIBS enclave_core)

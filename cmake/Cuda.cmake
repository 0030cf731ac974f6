# Whether the accelerator gets a CUDA backend. SHOJI_CUDA:
#
#   AUTO  where a CUDA toolkit is found whose nvcc takes this host compiler; otherwise CPU only, with a status line that says why
#   ON    configuring fails without one
#   OFF   CPU only
#
# Sets SHOJI_WITH_CUDA, and where it is true enables the language and finds CUDAToolkit. nvcc is CMAKE_CUDA_COMPILER, CUDACXX in
# the environment, or the first of PATH, $CUDA_HOME/bin and /usr/local/cuda/bin. The host compiler is the C++ compiler unless
# CMAKE_CUDA_HOST_COMPILER names one. CMAKE_CUDA_ARCHITECTURES replaces the choice of device code below.
set(SHOJI_CUDA AUTO CACHE STRING "Build the accelerator's CUDA backend: AUTO, ON or OFF")
set_property(CACHE SHOJI_CUDA PROPERTY STRINGS AUTO ON OFF)
set(SHOJI_WITH_CUDA FALSE)

# Machine code for each of these that the toolkit knows, and PTX of the newest of them, which drivers translate for later devices.
# 7.5 is the first with int8 matrix instructions.
set(SHOJI_CUDA_REAL_ARCHITECTURES 75 80 86 90)

# The reason why there is no CUDA backend, or an empty string.
function(_shoji_find_cuda reason)
  set(${reason} "" PARENT_SCOPE)
  if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)
    find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDACXX PATHS ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
    if(DEFINED ENV{CUDACXX})
      set(CMAKE_CUDA_COMPILER "$ENV{CUDACXX}" CACHE FILEPATH "CUDA compiler" FORCE)
    endif()
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    set(${reason} "no nvcc was found (PATH, CUDACXX, CUDA_HOME, /usr/local/cuda)" PARENT_SCOPE)
    return()
  endif()
  if(NOT CMAKE_CUDA_HOST_COMPILER)
    set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER} CACHE FILEPATH "Host compiler of nvcc")
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET RESULT_VARIABLE result)
    set(architectures "")
    foreach(architecture IN LISTS SHOJI_CUDA_REAL_ARCHITECTURES)
      if(known MATCHES "sm_${architecture}\n")
        list(APPEND architectures ${architecture}-real)
        set(newest ${architecture})
      endif()
    endforeach()
    if(NOT result EQUAL 0 OR NOT architectures)
      set(${reason} "${CMAKE_CUDA_COMPILER} compiles for none of sm_${SHOJI_CUDA_REAL_ARCHITECTURES} (CUDA 11.4 or later does)"
          PARENT_SCOPE)
      return()
    endif()
    set(CMAKE_CUDA_ARCHITECTURES "${architectures};${newest}-virtual" CACHE STRING "Devices that code is made for")
  endif()
  if(NOT SHOJI_CUDA_PROBED STREQUAL "${CMAKE_CUDA_COMPILER};${CMAKE_CUDA_HOST_COMPILER};${CMAKE_CUDA_ARCHITECTURES}")
    # Not try_compile, which wants the language enabled, and that cannot fail softly.
    file(REMOVE_RECURSE ${CMAKE_BINARY_DIR}/cuda_probe)
    execute_process(
      COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR}/cmake/cuda_probe -B ${CMAKE_BINARY_DIR}/cuda_probe -G ${CMAKE_GENERATOR}
              -DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
              -DCMAKE_CUDA_COMPILER=${CMAKE_CUDA_COMPILER} -DCMAKE_CUDA_HOST_COMPILER=${CMAKE_CUDA_HOST_COMPILER}
              "-DCMAKE_CUDA_ARCHITECTURES=${CMAKE_CUDA_ARCHITECTURES}"
      COMMAND_ECHO NONE OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
    if(result EQUAL 0)
      execute_process(COMMAND ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR}/cuda_probe
                      OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
    endif()
    if(NOT result EQUAL 0)
      set(said "")
      if(EXISTS ${CMAKE_BINARY_DIR}/cuda_probe/CMakeFiles/CMakeError.log)
        file(READ ${CMAKE_BINARY_DIR}/cuda_probe/CMakeFiles/CMakeError.log said)  # what nvcc itself said
      endif()
      file(WRITE ${CMAKE_BINARY_DIR}/cuda_probe.log "${output}\n${said}")
      set(${reason} "${CMAKE_CUDA_COMPILER} with ${CMAKE_CUDA_HOST_COMPILER} builds no program (${CMAKE_BINARY_DIR}/cuda_probe.log)"
          PARENT_SCOPE)
      return()
    endif()
    set(SHOJI_CUDA_PROBED "${CMAKE_CUDA_COMPILER};${CMAKE_CUDA_HOST_COMPILER};${CMAKE_CUDA_ARCHITECTURES}" CACHE INTERNAL "")
  endif()
endfunction()

if(NOT SHOJI_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "SHOJI_CUDA is \"${SHOJI_CUDA}\"; it must be AUTO, ON or OFF")
endif()
if(SHOJI_CUDA STREQUAL "OFF")
  message(STATUS "CUDA backend: off (SHOJI_CUDA)")
else()
  _shoji_find_cuda(shoji_no_cuda)
  if(shoji_no_cuda STREQUAL "")
    set(SHOJI_WITH_CUDA TRUE)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(CMAKE_CUDA_STANDARD 17)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    set(CMAKE_CUDA_EXTENSIONS OFF)
    set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
    message(STATUS "CUDA backend: on, toolkit ${CUDAToolkit_VERSION}, for ${CMAKE_CUDA_ARCHITECTURES}")
  elseif(SHOJI_CUDA STREQUAL "ON")
    message(FATAL_ERROR "SHOJI_CUDA is ON, but ${shoji_no_cuda}")
  else()
    message(STATUS "CUDA backend: off, ${shoji_no_cuda}")
  endif()
endif()
